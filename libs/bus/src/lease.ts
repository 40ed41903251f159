import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type KV, type KvEntry, NatsError } from 'nats';
import * as z from 'zod';
import { BusError } from './bus-error.ts';
import { contentOf } from './key-value.ts';
import { hasGoneOut, LifeSign } from './life-sign.ts';
import { limits } from './limits.ts';
import { hasEndedHere, ownIdentity, processIdentitySchema } from './process-identity.ts';
import { WRONG_REVISION } from './storage.ts';
import { isPassing, type StoredWrites } from './stored-writes.ts';

const holderSchema = z.object({
  id: z.string(),
  process: processIdentitySchema,
  /** Path of its `LifeSign`. */
  alive: z.string().optional(),
});

type Holder = z.infer<typeof holderSchema>;

export interface LeaseOptions {
  /** Folder that the processes of this host share, also those in containers: who waits sees there that the holder has ended. */
  folder?: string;
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
  readonly #writes: StoredWrites;
  readonly #options: Required<Omit<LeaseOptions, 'folder'>>;
  readonly #value: string;
  readonly #sign: LifeSign | undefined;
  readonly #id = randomUUID();
  #revision = 0;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> = Promise.resolve();

  private constructor(
    bucket: KV,
    writes: StoredWrites,
    key: string,
    { leaseMs = limits.leaseMs, onLost }: LeaseOptions,
    sign: LifeSign | undefined,
  ) {
    this.#bucket = bucket;
    this.#writes = writes;
    this.#key = key;
    this.#options = { leaseMs, onLost };
    this.#sign = sign;
    this.#value = JSON.stringify({ id: this.#id, process: ownIdentity(), alive: sign?.path });
  }

  /** Takes it at once where nobody has it or its holder is seen to have ended; else watches the holder. Errors: `LEASE_HELD`. */
  static async take(bucket: KV, writes: StoredWrites, key: string, options: LeaseOptions): Promise<Lease> {
    const sign = options.folder === undefined ? undefined : await LifeSign.show(options.folder);
    const lease = new Lease(bucket, writes, key, options, sign);
    await lease.#take().catch((error: unknown) => {
      lease.#stop();
      throw error;
    });
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
      else if (entry === undefined || (await hasEnded(holderOf(entry)))) {
        if (await this.#write(entry?.revision)) return;
      } else if (watched === undefined) watched = { revision: entry.revision, since: performance.now() };
      else if (watched.revision !== entry.revision) throw held(this.#key, holderOf(entry));
      else if (performance.now() - watched.since >= leaseMs && (await this.#write(entry.revision))) return;
      await sleep(leaseMs / 10);
    }
  }

  async #renew(): Promise<void> {
    if (this.#timer === undefined || (await this.#write(this.#revision))) return;
    const entry = await this.#read();
    if (entry === 'unknown' || entry === undefined) {
      this.#revision = 0;
      return;
    }
    const holder = holderOf(entry);
    // What no process wrote is no other holder: it is written over
    if (holder === undefined || holder.id === this.#id) this.#revision = entry.revision;
    else {
      this.#stop();
      this.#revision = 0;
      this.#options.onLost(lost(this.#key, holder));
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
      this.#writes.settled(this);
      return true;
    } catch (error) {
      unlessNatsError(error);
      // Renewals show that a server stores nothing also where nothing else happens
      if (isPassing(error)) this.#writes.refused(this);
      else this.#writes.settled(this);
      // Held already, and nothing said against it
      return this.#revision !== 0 && (error as NatsError).api_error?.err_code !== WRONG_REVISION;
    }
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#sign?.close();
    this.#writes.settled(this);
    this.#timer = undefined;
  }
}

/** Of what nobody wrote it is not known. */
async function hasEnded(holder: Holder | undefined): Promise<boolean> {
  if (holder === undefined) return false;
  return hasEndedHere(holder.process) || (holder.alive !== undefined && (await hasGoneOut(holder.alive)));
}

function holderOf(entry: KvEntry): Holder | undefined {
  return contentOf(entry, holderSchema);
}

function nameOf(holder: Holder | undefined): string {
  return holder === undefined ? 'an unknown process' : `process ${holder.process.pid} of ${holder.process.host}`;
}

function unlessNatsError(error: unknown): void {
  if (!(error instanceof NatsError)) throw error;
}

function held(key: string, holder: Holder | undefined): BusError {
  return new BusError({
    code: 'LEASE_HELD',
    message: `a ${key} runs on this bus already: ${nameOf(holder)}`,
    remedy: `stop that one first: it gives way at once; or start this one with a bus of its own`,
  });
}

function lost(key: string, holder: Holder): BusError {
  return new BusError({
    code: 'LEASE_LOST',
    message: `${nameOf(holder)} is the ${key} of this bus now: this one was silent for too long`,
    remedy: 'nothing, if that one was meant to; else stop it, and start this one again',
  });
}
