import { setTimeout as sleep } from 'node:timers/promises';
import {
  DiscardPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type KV,
  NatsError,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from 'nats';
import { BusError } from './bus-error.ts';
import { limits } from './limits.ts';
import {
  BLOB_BUCKET,
  ENCLAVE_BUCKET,
  EVENT_STREAM,
  LEASE_BUCKET,
  LOG_SINK_BUCKET,
  LOG_STREAM,
  subjects,
  WARNING_BUCKET,
  WEBHOOK_BUCKET,
} from './subjects.ts';

/** Name of the stream that is behind a KV bucket (ADR-8 of NATS). */
export function bucketStream(bucket: string): string {
  return `KV_${bucket}`;
}

/** JetStream counts its times in nanoseconds. */
const NANOSECONDS = 1_000_000;

const stream = {
  retention: RetentionPolicy.Limits,
  // What is new matters more than what is old: a full stream never stops its writer
  discard: DiscardPolicy.Old,
  storage: StorageType.File,
} as const;

/**
 * ADR-8: what makes a stream a bucket. A full one refuses, since to drop a key silently would lose state. `allow_direct` is
 * off: its answers are bare values, which a user could have sent to a subject that it may not publish to itself.
 */
const bucket = (name: string) => ({
  ...stream,
  name: bucketStream(name),
  subjects: [`$KV.${name}.>`],
  discard: DiscardPolicy.New,
  max_msgs_per_subject: 1,
  allow_rollup_hdrs: true,
  allow_direct: false,
  deny_delete: true,
});

/** Everything that the bus keeps, and its bounds. The supervisor makes it, `permissions.ts` says who uses it. */
export const storage: readonly (Partial<StreamConfig> & { name: string; max_bytes: number })[] = [
  {
    ...stream,
    name: EVENT_STREAM,
    subjects: [subjects.enclaveEvents()],
    max_msgs: limits.eventMessages,
    max_bytes: limits.eventBytes,
  },
  { ...stream, name: LOG_STREAM, subjects: [subjects.logs()], max_bytes: limits.logBytes },
  // A key is not used again: what is left of it can be deleted
  { ...bucket(ENCLAVE_BUCKET), max_bytes: limits.enclaveBytes, deny_delete: false },
  {
    ...bucket(BLOB_BUCKET),
    max_bytes: limits.blobBytes,
    max_msg_size: limits.blobValueBytes,
    max_age: limits.blobDays * 86_400_000 * NANOSECONDS,
  },
  { ...bucket(LEASE_BUCKET), max_bytes: limits.leaseBytes, max_msg_size: limits.leaseValueBytes },
  { ...bucket(LOG_SINK_BUCKET), max_bytes: limits.logCursorBytes, max_msg_size: limits.logCursorValueBytes },
  { ...bucket(WEBHOOK_BUCKET), max_bytes: limits.eventCursorBytes, max_msg_size: limits.eventCursorValueBytes },
  {
    ...bucket(WARNING_BUCKET),
    max_bytes: limits.warningBytes,
    max_msg_size: limits.warningValueBytes,
    max_age: limits.warningTtlMs * NANOSECONDS,
  },
];

/** "wrong last sequence": the key has another revision, the subject another last message. */
export const WRONG_REVISION = 10071;

/** "stream name already in use with a different configuration" (server/errors.json of nats-server). */
const OTHER_CONFIGURATION = 10058;
const STREAM_NOT_FOUND = 10059;
/** "insufficient storage resources available": what is asked for and what others were promised is more than `max_file_store`. */
const STORAGE_EXCEEDED = 10047;

/** Makes what is missing, and gives what an older version has made the bounds of this one. Errors: `BUS_TOO_SMALL`. */
export async function makeStorage(manager: JetStreamManager): Promise<void> {
  for (const config of storage) {
    try {
      await manager.streams.add(config).catch((error: unknown) => {
        if (!hasCode(error, OTHER_CONFIGURATION)) throw error;
        // Once it is set, the server never takes it back
        const { deny_delete: _, ...bounds } = config;
        return manager.streams.update(config.name, bounds);
      });
    } catch (cause) {
      throw hasCode(cause, STORAGE_EXCEEDED) ? tooSmall(config.name, cause) : cause;
    }
  }
}

function hasCode(error: unknown, code: number): boolean {
  return error instanceof NatsError && error.api_error?.err_code === code;
}

function tooSmall(name: string, cause: unknown): BusError {
  const needed = storage.reduce((sum, { max_bytes }) => sum + max_bytes, 0);
  return new BusError(
    {
      code: 'BUS_TOO_SMALL',
      message: `the NATS server has no room for ${name}: all that the bus keeps takes ${needed} bytes at most`,
      remedy: `give JetStream a max_file_store of ${needed} or more for this account, or a server of its own`,
    },
    { cause },
  );
}

/** Waits until the supervisor has made `names`. Errors: `BUS_NOT_READY`. */
export async function waitForStorage(manager: JetStreamManager, names: readonly string[]): Promise<void> {
  const until = performance.now() + limits.storageWaitMs;
  for (const name of names) {
    while (!(await exists(manager, name))) {
      if (performance.now() > until) {
        throw new BusError({
          code: 'BUS_NOT_READY',
          message: `${name} was not on the bus within ${limits.storageWaitMs} ms`,
          remedy: 'start the supervisor, which makes it: `enclaver up`, `docker compose up supervisor`',
        });
      }
      await sleep(limits.storagePollMs);
    }
  }
}

async function exists(manager: JetStreamManager, name: string): Promise<boolean> {
  try {
    await manager.streams.info(name);
    return true;
  } catch (error) {
    if (hasCode(error, STREAM_NOT_FOUND)) return false;
    throw error;
  }
}

/**
 * Keys of a bucket that match `filter`, those whose value was deleted and whose marker still lies there included. The client's own
 * `keys` waits for ever for a key that is written while it reads.
 */
export async function keysOf(manager: JetStreamManager, bucket: string, filter = '>'): Promise<string[]> {
  const prefix = `$KV.${bucket}.`;
  const { state } = await manager.streams.info(bucketStream(bucket), { subjects_filter: `${prefix}${filter}` });
  return Object.keys(state.subjects ?? {})
    .map((subject) => subject.slice(prefix.length))
    .filter(isKey);
}

/** Whether the client lets it be asked for (ADR-8). Under a bucket's subjects lies anything that the server was made to put there. */
export function isKey(text: string): boolean {
  return /^[-/=\w]+(\.[-/=\w]+)*$/.test(text);
}

/** A bucket that is there; nothing is asked or made. */
export function openBucket(jetStream: JetStreamClient, name: string): Promise<KV> {
  return jetStream.views.kv(name, { bindOnly: true, allow_direct: false });
}
