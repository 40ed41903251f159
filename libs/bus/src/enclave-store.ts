import type { KV, NatsConnection } from 'nats';
import { BusError } from './bus-error.ts';
import { type EnclaveRecord, enclaveRecordSchema } from './enclave.ts';
import { untilStored } from './retry.ts';

/** The records of all enclaves of this host in the KV bucket. The supervisor writes, the others read. */
export class EnclaveStore {
  readonly #connection: NatsConnection;
  readonly #bucket: KV;

  constructor(connection: NatsConnection, bucket: KV) {
    this.#connection = connection;
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

  async list(): Promise<EnclaveRecord[]> {
    // All keys first: the client ends their iteration early when each is waited on
    const keys: string[] = [];
    for await (const key of await this.#bucket.keys()) keys.push(key);
    const records: EnclaveRecord[] = [];
    for (const key of keys) {
      const record = await this.get(key);
      if (record !== undefined) records.push(record);
    }
    return records;
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
