import { setTimeout as sleep } from 'node:timers/promises';
import { ErrorCode, type NatsConnection, NatsError } from 'nats';
import { limits } from './limits.ts';

interface Told {
  id: string;
  data: object;
}

/** Whether events are about the enclave that is asked for by name: events have ids, and the record of the enclave its name. */
export class EnclaveNames {
  readonly #wanted: string | undefined;
  readonly #connection: NatsConnection;
  /** By id, the oldest first. */
  readonly #known = new Map<string, string | undefined>();

  constructor(connection: NatsConnection, wanted: string | undefined) {
    this.#connection = connection;
    this.#wanted = wanted;
  }

  async matches({ id, data }: Told): Promise<boolean> {
    if (this.#wanted === undefined || this.#wanted === id) return true;
    const told = nameIn((data as { enclave?: unknown }).enclave);
    if (told !== undefined) this.#remember(id, told);
    else if (!this.#known.has(id)) this.#remember(id, await this.#look(id));
    return this.#known.get(id) === this.#wanted;
  }

  #remember(id: string, name: string | undefined): void {
    this.#known.set(id, name);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= limits.names) break;
      this.#known.delete(oldest);
    }
  }

  /** Undefined for an enclave that is forgotten by now. Waits for a bus that is away. */
  async #look(id: string): Promise<string | undefined> {
    for (;;) {
      try {
        const records = await this.#connection.jetstream().views.kv('enclaver_enclaves', { bindOnly: true });
        const entry = await records.get(id);
        return entry?.operation === 'PUT' ? nameIn(entry.json()) : undefined;
      } catch (error) {
        if (!(error instanceof NatsError) || this.#connection.isClosed() || this.#connection.isDraining()) throw error;
        if (error.code === ErrorCode.PermissionsViolation) throw error;
        await sleep(limits.reconnectMs);
      }
    }
  }
}

function nameIn(record: unknown): string | undefined {
  const name = (record as { name?: unknown } | null | undefined)?.name;
  return typeof name === 'string' ? name : undefined;
}
