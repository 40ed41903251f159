import type { JetStreamClient, KV, NatsConnection } from 'nats';
import { encodeCloudEvent } from './cloud-event.ts';
import { contentOf } from './key-value.ts';
import { limits } from './limits.ts';
import { keysOf, openBucket } from './storage.ts';
import type { StoredWrites } from './stored-writes.ts';
import { subjects, WARNING_BUCKET } from './subjects.ts';
import { type RaisedWarning, raisedWarningSchema, type Warning, warningEventSchema, warningSchema } from './warning.ts';

type Key = Pick<Warning, 'code' | 'enclave'>;

/**
 * The warnings of this process, and, with `list`, those of all services. They lie in a bucket whose keys vanish by themselves
 * unless they are written again, so that those of a process that is gone go, too. Raising and clearing do not wait for the
 * bus: what is true when the bus answers is written.
 */
export class Warnings {
  readonly #service: string;
  readonly #connection: NatsConnection;
  readonly #jetStream: JetStreamClient;
  readonly #writes: StoredWrites;
  readonly #active = new Map<string, RaisedWarning>();
  readonly #changed = new Map<string, RaisedWarning>();
  #bucket: Promise<KV> | undefined;
  #writing: Promise<void> | undefined;
  #refresh: NodeJS.Timeout | undefined;
  /** Told when a warning could not be written although the bus is there, as where permissions lack. */
  onError: (error: unknown) => void = () => undefined;

  constructor(service: string, connection: NatsConnection, jetStream: JetStreamClient, writes: StoredWrites) {
    this.#service = service;
    this.#connection = connection;
    this.#jetStream = jetStream;
    this.#writes = writes;
  }

  /** What this process has raised and not cleared. */
  get active(): readonly RaisedWarning[] {
    return [...this.#active.values()];
  }

  /** Says that something is so; to say it again is no news. Beyond the bound on warnings of one process it is only counted. */
  raise(warning: Warning): void {
    const key = keyOf(this.#service, warning);
    const known = this.#active.get(key);
    if (known?.message === warning.message && known.severity === warning.severity) return;
    if (known === undefined && this.#active.size >= limits.warnings) {
      this.onError(new RangeError(`more than ${limits.warnings} warnings at once; ${warning.code} is not shown`));
      return;
    }
    const since = known?.since ?? new Date().toISOString();
    const raised = { ...warningSchema.parse(warning), service: this.#service, since };
    this.#active.set(key, raised);
    this.#write(key, raised);
    this.#refresh ??= setInterval(() => this.#writeAgain(), limits.warningRefreshMs).unref();
  }

  /** Says that it is over; nothing happens where it was not raised. */
  clear(code: string, enclave?: string): void {
    const key = keyOf(this.#service, { code, enclave });
    const known = this.#active.get(key);
    if (known === undefined) return;
    this.#active.delete(key);
    this.#write(key, known);
  }

  /** Raises or clears, whichever is true now. */
  set(isSo: boolean, warning: Warning): void {
    if (isSo) this.raise(warning);
    else this.clear(warning.code, warning.enclave);
  }

  /** Of all services, the gravest first. */
  async list(): Promise<RaisedWarning[]> {
    const bucket = await this.#open();
    const found: RaisedWarning[] = [];
    for (const key of await keysOf(await this.#jetStream.jetstreamManager(false), WARNING_BUCKET)) {
      const warning = contentOf(await bucket.get(key), raisedWarningSchema);
      // A newer service may raise what this reader does not understand
      if (warning !== undefined) found.push(warning);
    }
    const rank = { error: 0, warning: 1, info: 2 } as const;
    return found.sort((a, b) => rank[a.severity] - rank[b.severity] || a.since.localeCompare(b.since));
  }

  /** Resolves once the bucket says what was raised and cleared so far. */
  async written(): Promise<void> {
    await this.#writing;
  }

  close(): void {
    clearInterval(this.#refresh);
  }

  #write(key: string, warning: RaisedWarning): void {
    this.#changed.set(key, warning);
    this.#writing ??= this.#writeChanged().finally(() => {
      this.#writing = undefined;
    });
  }

  #writeAgain(): void {
    for (const [key, warning] of this.#active) if (!this.#changed.has(key)) this.#write(key, warning);
  }

  async #writeChanged(): Promise<void> {
    // What is changed meanwhile is visited, too
    for (const [key, warning] of this.#changed) {
      this.#changed.delete(key);
      try {
        await this.#writes.until(async () => await this.#store(key, warning));
      } catch (error) {
        if (!this.#connection.isClosed() && !this.#connection.isDraining()) this.onError(error);
      }
    }
  }

  async #store(key: string, warning: RaisedWarning): Promise<void> {
    const bucket = await this.#open();
    const isRaised = this.#active.has(key);
    const known = await bucket.get(key);
    const wasRaised = known?.operation === 'PUT';
    if (isRaised) await bucket.put(key, JSON.stringify(warning));
    else await bucket.delete(key);
    if (isRaised === wasRaised) return;
    const event = warningEventSchema.parse({ state: isRaised ? 'raised' : 'cleared', warning });
    this.#connection.publish(
      subjects.warning(this.#service, warning.code),
      encodeCloudEvent(this.#service, 'enclaver.v1.warning', event),
    );
  }

  #open(): Promise<KV> {
    this.#bucket ??= openBucket(this.#jetStream, WARNING_BUCKET).catch((error: unknown) => {
      this.#bucket = undefined;
      throw error;
    });
    return this.#bucket;
  }
}

function keyOf(service: string, { code, enclave }: Key): string {
  return [service.replaceAll('/', '-'), code, ...(enclave === undefined ? [] : [enclave])].join('.');
}
