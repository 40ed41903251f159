import type { JetStreamManager, KV, NatsConnection } from 'nats';
import { BusError } from './bus-error.ts';
import { type EnclaveRecord, enclaveRecordSchema } from './enclave.ts';
import { untilStored } from './retry.ts';
import { keysOf } from './storage.ts';
import { ENCLAVE_BUCKET } from './subjects.ts';

/** The records of all enclaves of this host in the KV bucket. The supervisor writes, the others read. */
export class EnclaveStore {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #bucket: KV;

  constructor(connection: NatsConnection, manager: JetStreamManager, bucket: KV) {
    this.#connection = connection;
    this.#manager = manager;
    this.#bucket = bucket;
  }

  /** Resolves once the server has stored it, however long it is away. */
  async put(record: EnclaveRecord): Promise<void> {
    const value = JSON.stringify(enclaveRecordSchema.parse(record));
    await untilStored(this.#connection, () => this.#bucket.put(record.id, value));
  }

  async get(id: string): Promise<EnclaveRecord | undefined> {
    const entry = await this.#bucket.get(id);
    if (entry === null || entry.operation !== 'PUT') return undefined;
    return parseRecord(id, entry.string());
  }

  /** The one that was written longest ago first. */
  async list(): Promise<EnclaveRecord[]> {
    const found: { revision: number; record: EnclaveRecord }[] = [];
    for (const id of await keysOf(this.#manager, ENCLAVE_BUCKET)) {
      const entry = await this.#bucket.get(id);
      if (entry?.operation !== 'PUT') continue;
      const record = parseRecord(id, entry.string());
      if (record !== undefined) found.push({ revision: entry.revision, record });
    }
    return found.sort((a, b) => a.revision - b.revision).map(({ record }) => record);
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

  /** Forgets an enclave, its key's history included. */
  async remove(id: string): Promise<void> {
    await this.#bucket.purge(id);
  }
}

/** Undefined for what no version of the supervisor has written: the server's answers can be sent to a key by anybody. */
function parseRecord(id: string, text: string): EnclaveRecord | undefined {
  const json = jsonOf(text);
  if (typeof json !== 'object' || json === null || !('id' in json) || json.id !== id) return undefined;
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

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
