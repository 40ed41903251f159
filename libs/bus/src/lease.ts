import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type KV, type KvEntry, NatsError } from 'nats';
import * as z from 'zod';
import { BusError } from './bus-error.ts';
import { limits } from './limits.ts';
import { hasEndedHere, ownIdentity, type ProcessIdentity, processIdentitySchema } from './process-identity.ts';

const holderSchema = z.object({ id: z.string(), process: processIdentitySchema });

/** "wrong last sequence" of JetStream. */
const WRONG_REVISION = 10071;

export interface LeaseOptions {
  /** A holder that does not renew it for so long, while the bus is there, has lost it. */
  leaseMs?: number;
  /** Told once when another has it: what only one may do must end. */
  onLost: (error: BusError) => void;
}

/**
 * What only one process at a time may be. Renewing gives the key a new revision; who waits sees that the revision stays the same for
 * so long by its own monotonic clock. No time of any clock is written or compared, so that a clock that jumps changes nothing.
 */
export class Lease {
  readonly #bucket: KV;
  readonly #key: string;
  readonly #options: Required<LeaseOptions>;
  readonly #value: string;
  readonly #id = randomUUID();
  #revision = 0;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> = Promise.resolve();

  private constructor(bucket: KV, key: string, { leaseMs = limits.leaseMs, onLost }: LeaseOptions) {
    this.#bucket = bucket;
    this.#key = key;
    this.#options = { leaseMs, onLost };
    this.#value = JSON.stringify({ id: this.#id, process: ownIdentity() });
  }

  /** Takes it at once where nobody has it or its holder has ended here; else watches the holder. Errors: `LEASE_HELD`. */
  static async take(bucket: KV, key: string, options: LeaseOptions): Promise<Lease> {
    const lease = new Lease(bucket, key, options);
    await lease.#take();
    const every = lease.#options.leaseMs / 3;
    lease.#timer = setInterval(() => {
      lease.#renewing = lease.#renewing.then(() => lease.#renew());
    }, every).unref();
    return lease;
  }

  /** Gives it back, so that the next one need not wait. */
  async release(): Promise<void> {
    this.#stop();
    await this.#renewing;
    if (this.#revision !== 0)
      await this.#bucket.delete(this.#key, { previousSeq: this.#revision }).catch(unlessNatsError);
    this.#revision = 0;
  }

  async #take(): Promise<void> {
    const { leaseMs } = this.#options;
    let watched: { revision: number; since: number } | undefined;
    for (;;) {
      const entry = await this.#read();
      if (entry === 'unknown') watched = undefined;
      else if (entry === undefined || hasEndedHere(holderOf(entry).process)) {
        if (await this.#write(entry?.revision)) return;
      } else if (watched === undefined) watched = { revision: entry.revision, since: performance.now() };
      else if (watched.revision !== entry.revision) throw held(this.#key, holderOf(entry).process);
      else if (performance.now() - watched.since >= leaseMs && (await this.#write(entry.revision))) return;
      await sleep(leaseMs / 10);
    }
  }

  async #renew(): Promise<void> {
    if (this.#timer === undefined || (await this.#write(this.#revision))) return;
    const entry = await this.#read();
    if (entry === 'unknown' || entry === undefined) this.#revision = 0;
    else if (holderOf(entry).id === this.#id) this.#revision = entry.revision;
    else {
      this.#stop();
      this.#revision = 0;
      this.#options.onLost(lost(this.#key, holderOf(entry).process));
    }
  }

  /** The key; undefined where nobody has it, `unknown` where the bus does not say. */
  async #read(): Promise<KvEntry | undefined | 'unknown'> {
    try {
      const entry = await this.#bucket.get(this.#key);
      return entry?.operation === 'PUT' ? entry : undefined;
    } catch (error) {
      unlessNatsError(error);
      return 'unknown';
    }
  }

  /** Writes over that revision, or where there is none. False when another was there first; a bus that is away leaves all as it is. */
  async #write(over: number | undefined): Promise<boolean> {
    try {
      this.#revision =
        over === undefined || over === 0
          ? await this.#bucket.create(this.#key, this.#value)
          : await this.#bucket.update(this.#key, this.#value, over);
      return true;
    } catch (error) {
      unlessNatsError(error);
      // Held already, and nothing said against it
      return this.#revision !== 0 && (error as NatsError).api_error?.err_code !== WRONG_REVISION;
    }
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** The one thing that an answer of the bus cannot break here: whoever can write the key may say anything in it. */
function holderOf(entry: KvEntry): z.infer<typeof holderSchema> {
  try {
    return holderSchema.parse(entry.json());
  } catch {
    const unknown: ProcessIdentity = { host: 'unknown', pid: 0, boot: '', namespace: '', start: '' };
    return { id: '', process: unknown };
  }
}

function unlessNatsError(error: unknown): void {
  if (!(error instanceof NatsError)) throw error;
}

function held(key: string, { pid, host }: ProcessIdentity): BusError {
  return new BusError({
    code: 'LEASE_HELD',
    message: `a ${key} runs on this bus already: process ${pid} of ${host}`,
    remedy: `stop that one first: it gives way at once; or start this one with a bus of its own`,
  });
}

function lost(key: string, { pid, host }: ProcessIdentity): BusError {
  return new BusError({
    code: 'LEASE_LOST',
    message: `process ${pid} of ${host} is the ${key} of this bus now: this one was silent for too long`,
    remedy: 'nothing, if that one was meant to; else stop it, and start this one again',
  });
}
