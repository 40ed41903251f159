import { decodeAnswer, type NsmAnswers } from './answer.ts';
import { documentTime } from './document-time.ts';
import { NsmError } from './errors.ts';
import { CALL_TIMEOUT_MS, MAX_CALLS } from './limits.ts';
import { type AttestationFields, encodeRequest, type NsmRequest } from './request.ts';

/** What carries a request to an NSM and its answer back: the device, a simulator, a stream. Rejects when it cannot. */
export type NsmTransport = (request: Uint8Array) => Promise<Uint8Array>;

export interface NsmDescription {
  /** Of the NSM's interface; 1.0.0 so far. */
  version: { major: number; minor: number; patch: number };
  /** `<instance id>-enc<hex>`. */
  moduleId: string;
  maxPcrs: number;
  lockedPcrs: number[];
  digest: 'SHA384';
}

export interface PcrState {
  locked: boolean;
  /** 48 bytes. */
  value: Uint8Array;
}

export interface NsmOptions {
  /** From the call to the answer, the wait for earlier calls included. Default: 120 s, as the driver waits. */
  timeoutMs?: number;
}

/**
 * A client of the Nitro Secure Module. One request is under way at a time; further calls wait their turn.
 *
 * Every method rejects with NsmError: the device's own errors, NSM_UNREACHABLE when the transport fails, NSM_TIMEOUT,
 * NSM_BUSY, NSM_INVALID_RESPONSE.
 */
export class Nsm {
  readonly #transport: NsmTransport;
  readonly #timeoutMs: number;
  #calls = 0;
  #changes = 0;
  /** Settles, and never rejects, when the transport is free. */
  #free: Promise<unknown> = Promise.resolve();

  constructor(transport: NsmTransport, { timeoutMs = CALL_TIMEOUT_MS }: NsmOptions = {}) {
    this.#transport = transport;
    this.#timeoutMs = timeoutMs;
  }

  /** Another number whenever this client may have changed what documents say of the registers. */
  get changes(): number {
    return this.#changes;
  }

  async describe(): Promise<NsmDescription> {
    const answer = await this.#ask({ kind: 'DescribeNSM' });
    return {
      version: { major: answer.version_major, minor: answer.version_minor, patch: answer.version_patch },
      moduleId: answer.module_id,
      maxPcrs: answer.max_pcrs,
      lockedPcrs: answer.locked_pcrs,
      digest: answer.digest,
    };
  }

  async describePcr(index: number): Promise<PcrState> {
    const { lock, data } = await this.#ask({ kind: 'DescribePCR', index });
    return { locked: lock, value: data };
  }

  /** `new = SHA384(old ‖ data)`. Gives the new value. */
  async extendPcr(index: number, data: Uint8Array): Promise<Uint8Array> {
    return (await this.#change({ kind: 'ExtendPCR', index, data })).data;
  }

  /** From now on the register cannot change, and stands in every document. */
  async lockPcr(index: number): Promise<void> {
    await this.#change({ kind: 'LockPCR', index });
  }

  /** Locks the registers 0 to `range` − 1. */
  async lockPcrs(range: number): Promise<void> {
    await this.#change({ kind: 'LockPCRs', range });
  }

  /** 1 to 256 random bytes; the device gives 256. */
  async random(): Promise<Uint8Array> {
    return (await this.#ask({ kind: 'GetRandom' })).random;
  }

  /** An attestation document: COSE_Sign1 as `parseDocument` reads it. */
  async attest(fields: AttestationFields = {}): Promise<Uint8Array> {
    return (await this.#ask({ ...fields, kind: 'Attestation' })).document;
  }

  /** What time it is for the NSM: it writes that into every document. To the millisecond; QEMU's emulated device knows seconds. */
  async time(): Promise<Date> {
    return documentTime(await this.attest());
  }

  /** Without an answer the change may have been made all the same. */
  async #change<Kind extends NsmRequest['kind']>(request: NsmRequest & { kind: Kind }): Promise<NsmAnswers[Kind]> {
    try {
      return await this.#ask<Kind>(request);
    } finally {
      this.#changes += 1;
    }
  }

  async #ask<Kind extends NsmRequest['kind']>(request: NsmRequest & { kind: Kind }): Promise<NsmAnswers[Kind]> {
    return decodeAnswer(request.kind, await this.#call(encodeRequest(request)));
  }

  #call(request: Uint8Array): Promise<Uint8Array> {
    if (this.#calls >= MAX_CALLS) {
      throw new NsmError('NSM_BUSY', `${this.#calls} calls wait for the NSM; no more are allowed`);
    }
    this.#calls += 1;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    let overdue = false;
    const timer = setTimeout(() => {
      overdue = true;
      reject(new NsmError('NSM_TIMEOUT', `the NSM gave no answer within ${this.#timeoutMs} ms`));
    }, this.#timeoutMs);
    // A call that is overdue is not sent any more; one that was sent keeps the transport until it settles.
    const send = async (): Promise<void> => {
      try {
        if (!overdue) resolve(await this.#transport(request));
      } catch (cause) {
        reject(cause instanceof NsmError ? cause : unreachable(cause));
      }
    };
    this.#free = this.#free.then(send);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#calls -= 1;
    });
  }
}

function unreachable(cause: unknown): NsmError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new NsmError('NSM_UNREACHABLE', `the NSM cannot be reached: ${reason}`, { cause });
}
