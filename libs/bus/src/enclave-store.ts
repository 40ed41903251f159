import { type JetStreamManager, type KV, type KvEntry, NatsError } from 'nats';
import { BusError } from './bus-error.ts';
import { type EnclaveRecord, enclaveRecordSchema } from './enclave.ts';
import { jsonOf } from './key-value.ts';
import { limits } from './limits.ts';
import { bucketStream, isKey, keysOf, WRONG_REVISION } from './storage.ts';
import type { StoredWrites } from './stored-writes.ts';
import { ENCLAVE_BUCKET } from './subjects.ts';

/** The records of all enclaves of this host in the KV bucket. The supervisor writes, the others read. */
export class EnclaveStore {
  readonly #writes: StoredWrites;
  readonly #manager: JetStreamManager;
  readonly #bucket: KV;

  constructor(writes: StoredWrites, manager: JetStreamManager, bucket: KV) {
    this.#writes = writes;
    this.#manager = manager;
    this.#bucket = bucket;
  }

  /** Resolves once the server has stored it, however long it is away. */
  async put(record: EnclaveRecord): Promise<void> {
    const value = JSON.stringify(enclaveRecordSchema.parse(record));
    await this.#writes.until(() => this.#bucket.put(record.id, value));
  }

  async get(id: string): Promise<EnclaveRecord | undefined> {
    const entry = await this.#bucket.get(id);
    if (entry === null || entry.operation !== 'PUT') return undefined;
    return parseRecord(id, entry.string());
  }

  /** The one that was written longest ago first. */
  async list(): Promise<EnclaveRecord[]> {
    const written = (await this.#entries()).filter(({ operation }) => operation === 'PUT');
    return written.map((entry) => parseRecord(entry.key, entry.string())).filter((record) => record !== undefined);
  }

  /** Every record that is there, then every change; no record where one was removed. Ends when the loop is left or the bus closes. */
  async *watch(): AsyncGenerator<{ id: string; record: EnclaveRecord | undefined }> {
    const entries = await this.#bucket.watch();
    try {
      for await (const entry of entries) {
        const isThere = entry.operation === 'PUT';
        yield { id: entry.key, record: isThere ? parseRecord(entry.key, entry.string()) : undefined };
      }
    } finally {
      entries.stop();
    }
  }

  /**
   * For who writes them, until the bus closes: writes again what was overwritten with something that is no record, and removes such a
   * thing where there was none. Only over that very thing, so that what the supervisor writes meanwhile stays.
   */
  async mend(onMended: (id: string, how: 'written again' | 'removed') => void): Promise<void> {
    const known = new Map<string, string>();
    for await (const { key, operation, revision, value } of await this.#bucket.watch()) {
      // Nobody reads it, and the client does not let it be removed
      if (!isKey(key)) continue;
      const text = Buffer.from(value).toString('utf8');
      if (operation !== 'PUT') known.delete(key);
      else if (isRecordOf(key, jsonOf(text))) known.set(key, text);
      else await this.#mend(key, revision, known.get(key), onMended);
    }
  }

  async #mend(
    id: string,
    revision: number,
    text: string | undefined,
    onMended: (id: string, how: 'written again' | 'removed') => void,
  ): Promise<void> {
    try {
      await this.#writes.until<unknown>(() =>
        text === undefined
          ? this.#bucket.purge(id, { previousSeq: revision })
          : this.#bucket.update(id, text, revision),
      );
      onMended(id, text === undefined ? 'removed' : 'written again');
    } catch (error) {
      // The supervisor has written since
      if (!(error instanceof NatsError) || error.api_error?.err_code !== WRONG_REVISION) throw error;
    }
  }

  /** Forgets an enclave, its key's history included. Who watches is told so by a marker, of which the last ones are kept. */
  async remove(id: string): Promise<void> {
    await this.#bucket.purge(id);
    const markers = (await this.#entries()).filter(({ operation }) => operation !== 'PUT');
    try {
      // Not a purge of the key: see `LogStore.drop`
      for (const { revision } of markers.slice(0, -limits.removedEnclaves))
        await this.#manager.streams.deleteMessage(bucketStream(ENCLAVE_BUCKET), revision, false);
    } catch (error) {
      // Gone already, or to be dropped with the next one
      if (!(error instanceof NatsError)) throw error;
    }
  }

  /** What is last of each key, the one that was written longest ago first. */
  async #entries(): Promise<KvEntry[]> {
    const found: KvEntry[] = [];
    for (const id of await keysOf(this.#manager, ENCLAVE_BUCKET)) {
      const entry = await this.#bucket.get(id);
      if (entry !== null) found.push(entry);
    }
    return found.sort((a, b) => a.revision - b.revision);
  }
}

/** Undefined for what no version of the supervisor has written: the server's answers can be sent to a key by anybody. */
function parseRecord(id: string, text: string): EnclaveRecord | undefined {
  const json = jsonOf(text);
  if (!isRecordOf(id, json)) return undefined;
  const result = enclaveRecordSchema.safeParse(json);
  if (!result.success) {
    throw new BusError({
      code: 'BUS_STATE_INVALID',
      message: `the record of enclave ${id} on the bus is of another version: ${result.error.message}`,
      remedy: 'stop the enclave with the version that started it, or delete the key from the bucket',
    });
  }
  return result.data;
}

/** The `id` alone says little: a service that is pinged answers with one of its own. */
function isRecordOf(id: string, json: unknown): boolean {
  const told = (json as { id?: unknown } | null | undefined)?.id;
  return told === id && enclaveRecordSchema.shape.id.safeParse(id).success;
}
