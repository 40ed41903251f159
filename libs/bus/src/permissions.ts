import { enclaveEventNames, enclaveEventSources } from './events.ts';
import { limits } from './limits.ts';
import { logKinds } from './logs.ts';
import { operations, type ServiceName } from './operations.ts';
import { bucketStream, storage } from './storage.ts';
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

/** What a user of the bus may do; the server refuses everything else. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** May answer each request it was sent, once, for this long. */
  readonly answersForMs?: number;
  /** In an account of its own, which has of the bus what is named here and no more. */
  readonly apart?: true;
}

/** For an administrator with a server of their own, and for tests. */
export const everything: Permissions = { publish: ['>'], subscribe: ['>'] };

/** Takes part at all: asks whether JetStream is there, and gets answers. */
const takesPart = (user: string): Permissions => ({
  publish: ['$JS.API.INFO'],
  subscribe: [`${subjects.inboxPrefix(user)}.>`],
});

/** Is seen by `nats micro ls`: answers for its own name alone. */
const isSeen = (service: string): Permissions => ({
  publish: [],
  subscribe: ['PING', 'INFO', 'STATS'].flatMap((verb) => [
    `$SRV.${verb}`,
    `$SRV.${verb}.enclaver-${service}`,
    `$SRV.${verb}.enclaver-${service}.*`,
  ]),
  answersForMs: limits.requestTimeoutMs,
});

/** Sees who is there. */
const sees: Permissions = { publish: ['$SRV.>'], subscribe: [] };

const serves = (service: ServiceName): Permissions => ({
  publish: [],
  subscribe: Object.keys(operations[service]).map((operation) => subjects.operation(service, operation)),
  answersForMs: limits.longTimeoutMs,
});

const asks = (service: ServiceName): Permissions => ({ publish: serves(service).subscribe, subscribe: [] });

/** Publishes the events that are this service's to publish, of every enclave. */
const tells = (source: (typeof enclaveEventSources)[keyof typeof enclaveEventSources]): Permissions => ({
  publish: enclaveEventNames.filter((name) => enclaveEventSources[name] === source).map(subjects.enclaveEventOfAll),
  subscribe: [],
});

/**
 * Permissions say nothing of the reply that a request names: the server, or the service that is asked, publishes its answer
 * there with its own rights, and so into streams and buckets. Within one account there is no remedy. To a request from
 * another account the answer comes in that account, where no stream is.
 *
 * Not for services, which are asked, too; nor for the command: nats-server 2.9 does not say across accounts that nobody is
 * there to answer.
 */
const apart: Permissions = { publish: [], subscribe: [], apart: true };

/** Gets from a stream what it names, message by message. */
const gets = (stream: string): Permissions => ({
  publish: [`$JS.API.STREAM.INFO.${stream}`, `$JS.API.STREAM.MSG.GET.${stream}`],
  subscribe: [],
});

/**
 * Reads what a stream has and gets, with ephemeral push consumers; flow control is answered. Nobody deletes a consumer: it
 * might be another's, and ephemeral ones go by themselves. Nobody who writes a stream pulls from it (`CONSUMER.MSG.NEXT`):
 * the server sends what is pulled to any subject that the request names as its reply, and so past these permissions.
 */
const reads = (stream: string): Permissions => ({
  publish: [...gets(stream).publish, `$JS.API.CONSUMER.CREATE.${stream}`, `$JS.FC.${stream}.>`],
  subscribe: [],
});

/** Reads at its own pace: only for who does not write the stream. */
const pulls = (stream: string): Permissions => ({
  publish: [...reads(stream).publish, `$JS.API.CONSUMER.MSG.NEXT.${stream}.>`, `$JS.API.CONSUMER.INFO.${stream}.>`],
  subscribe: [],
});

/** Hears what is said now, without the stream: `nats sub`. */
const hears = (...said: readonly string[]): Permissions => ({ publish: [], subscribe: said });

/**
 * Has the server remember what was taken, under a name, with push consumers: their messages go to who listens, and not, as
 * pulled ones, to any subject.
 */
const remembers = (stream: string): Permissions => ({
  publish: [
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.*`,
    `$JS.API.CONSUMER.INFO.${stream}.*`,
    `$JS.ACK.${stream}.>`,
  ],
  subscribe: [],
});

/** Drops what is too much of one writer, or of no more use. Who writes a stream can empty it anyway. */
const thins = (stream: string): Permissions => ({ publish: [`$JS.API.STREAM.MSG.DELETE.${stream}`], subscribe: [] });

/** Watching a bucket makes a consumer with a name; no bucket has one that somebody must not lose. */
const readsBucket = (bucket: string): Permissions => {
  const { publish, subscribe } = reads(bucketStream(bucket));
  return { publish: [...publish, `$JS.API.CONSUMER.CREATE.${bucketStream(bucket)}.>`], subscribe };
};

/** Raises warnings under its own name. */
const warns = (service: string): Permissions => ({
  publish: [
    ...reads(bucketStream(WARNING_BUCKET)).publish,
    `$KV.${WARNING_BUCKET}.${service}.>`,
    subjects.warningsOf(service),
  ],
  subscribe: [],
});

const seesWarnings: Permissions = {
  publish: gets(bucketStream(WARNING_BUCKET)).publish,
  subscribe: [subjects.all('warning')],
};

const writesBucket = (bucket: string): Permissions => ({ publish: [`$KV.${bucket}.>`], subscribe: [] });

/** Makes streams and buckets and changes their bounds. Nobody deletes one. */
const makesStorage: Permissions = {
  publish: storage.flatMap(({ name }) => [`$JS.API.STREAM.CREATE.${name}`, `$JS.API.STREAM.UPDATE.${name}`]),
  subscribe: [],
};

/** Rows of the table: every user with the least that its work needs. */
const rows = {
  supervisor: [
    makesStorage,
    isSeen('supervisor'),
    warns('supervisor'),
    serves('supervisor'),
    tells('supervisor'),
    reads(EVENT_STREAM),
    pulls(LOG_STREAM),
    readsBucket(ENCLAVE_BUCKET),
    writesBucket(ENCLAVE_BUCKET),
    thins(bucketStream(ENCLAVE_BUCKET)),
    readsBucket(BLOB_BUCKET),
    writesBucket(BLOB_BUCKET),
    readsBucket(LEASE_BUCKET),
    writesBucket(LEASE_BUCKET),
  ],
  builder: [
    isSeen('builder'),
    warns('builder'),
    serves('builder'),
    { publish: [subjects.buildProgresses()], subscribe: [] },
    // Which images are still to be started from
    readsBucket(ENCLAVE_BUCKET),
  ],
  'outer-proxy': [
    isSeen('outer-proxy'),
    warns('outer-proxy'),
    tells('outer-proxy'),
    reads(EVENT_STREAM),
    readsBucket(ENCLAVE_BUCKET),
  ],
  'log-relay': [
    isSeen('log-relay'),
    warns('log-relay'),
    tells('log-relay'),
    { publish: logKinds.map(subjects.logOfAll), subscribe: [] },
    reads(EVENT_STREAM),
    reads(LOG_STREAM),
    thins(LOG_STREAM),
    readsBucket(ENCLAVE_BUCKET),
    readsBucket(LOG_SINK_BUCKET),
    writesBucket(LOG_SINK_BUCKET),
    // One of several serves a sink; the supervisor's lease is not its to write
    readsBucket(LEASE_BUCKET),
    { publish: [`$KV.${LEASE_BUCKET}.log-sink.>`], subscribe: [] },
  ],
  /** Optional: passes events on. */
  webhooks: [
    isSeen('webhooks'),
    warns('webhooks'),
    reads(EVENT_STREAM),
    readsBucket(WEBHOOK_BUCKET),
    writesBucket(WEBHOOK_BUCKET),
  ],
  /** Who starts and stops enclaves: the person at the machine. */
  cli: [
    sees,
    seesWarnings,
    asks('supervisor'),
    asks('builder'),
    hears(subjects.buildProgresses(), subjects.all('enclave'), subjects.all('log')),
    reads(EVENT_STREAM),
    pulls(LOG_STREAM),
    readsBucket(ENCLAVE_BUCKET),
  ],
  /**
   * Other people's programs: events and state. No log, which may hold what an app should not have said. Consumers of the
   * events alone: one of another stream, delivering to an event's subject that it hears, would write into the events.
   */
  reader: [
    apart,
    sees,
    seesWarnings,
    reads(EVENT_STREAM),
    remembers(EVENT_STREAM),
    hears(subjects.all('enclave')),
    gets(bucketStream(ENCLAVE_BUCKET)),
  ],
} as const satisfies Record<string, readonly Permissions[]>;

export type BusUser = keyof typeof rows;

export const busUsers = Object.keys(rows) as BusUser[];

export function isBusUser(user: string | undefined): user is BusUser {
  return user !== undefined && Object.hasOwn(rows, user);
}

/** What `user` may do: its rows together. */
export function permissionsOf(user: BusUser): Permissions {
  const all: readonly Permissions[] = [takesPart(user), ...rows[user]];
  const longest = Math.max(...all.map(({ answersForMs = 0 }) => answersForMs));
  return {
    publish: [...new Set(all.flatMap(({ publish }) => publish))],
    subscribe: [...new Set(all.flatMap(({ subscribe }) => subscribe))],
    ...(longest === 0 ? {} : { answersForMs: longest }),
    ...(all.includes(apart) ? { apart: true } : {}),
  };
}

/** Whether it is this user's work to make streams and buckets: the supervisor's, and that of an administrator of their own. */
export function mayMakeStorage(user: string | undefined): boolean {
  return !isBusUser(user) || (rows[user] as readonly Permissions[]).includes(makesStorage);
}

/** The streams, of buckets too, that this user reads. */
export function readableStorage(user: BusUser): string[] {
  const { publish } = permissionsOf(user);
  return storage.map(({ name }) => name).filter((name) => publish.includes(`$JS.API.STREAM.INFO.${name}`));
}
