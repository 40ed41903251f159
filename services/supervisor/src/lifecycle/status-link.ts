import { setTimeout as sleep } from 'node:timers/promises';
import { VsockError, type VsockStream, type VsockTransport } from '@enclaver/vsock';
import {
  type ControlRequest,
  type EnclaveStatus,
  encodeControl,
  isFinal,
  STATUS_PORT,
  StatusDecoder,
} from '@enclaver/wire';
import type { Logger } from 'pino';
import type { Limits } from '../limits.ts';
import { isDeaf } from './status-probe.ts';

/** How following a status port ends: with a final status, without a port that speaks, without an enclave that answers, or by `close`. */
export type FollowEnd = 'final' | 'silent' | 'deaf' | 'closed';

/**
 * The connection to an enclave's status port: found as soon as it is there, taken up again when it breaks. Each status is
 * handled before the next is read, so that an enclave that talks without end waits for us and not we for it.
 */
export class StatusLink {
  readonly #transport: VsockTransport;
  readonly #limits: Limits;
  readonly #logger: Logger;
  readonly #over = new AbortController();
  #stream: VsockStream | undefined;
  #reading: Promise<unknown> = Promise.resolve();
  #control: ControlRequest | undefined;
  /** Whether odyn has ever spoken. */
  spoken = false;

  constructor(transport: VsockTransport, limits: Limits, logger: Logger) {
    this.#limits = limits;
    this.#transport = transport;
    this.#logger = logger;
  }

  /** Throws WireError when the enclave breaks the protocol. */
  async follow(onStatus: (status: EnclaveStatus) => Promise<void>): Promise<FollowEnd> {
    let deadline = performance.now() + this.#limits.statusMs;
    while (!this.#over.signal.aborted && performance.now() < deadline) {
      const stream = await this.#connect();
      if (stream === undefined) {
        await sleep(this.#limits.statusRetryMs);
        continue;
      }
      this.#stream = stream;
      if (this.#control !== undefined) stream.write(encodeControl(this.#control));
      const reading = this.#read(stream, onStatus);
      // `settled` may only wait for it; its failure is ours
      this.#reading = reading.catch(() => undefined);
      const end = await this.#unlessDeaf(stream, reading);
      if (end !== undefined) return end;
      this.#stream = undefined;
      deadline = performance.now() + (this.spoken ? this.#limits.statusSilenceMs : this.#limits.statusMs);
    }
    return this.#over.signal.aborted ? 'closed' : 'silent';
  }

  /** Sends a request now, or first thing when the connection is up again. */
  send(control: ControlRequest): void {
    this.#control = control;
    this.#stream?.write(encodeControl(control));
  }

  /** Resolves when what the present connection still holds has been handled. */
  async settled(): Promise<void> {
    await this.#reading;
  }

  close(): void {
    this.#over.abort();
    this.#stream?.destroy();
  }

  async #connect(): Promise<VsockStream | undefined> {
    try {
      return await this.#transport.connect(STATUS_PORT, {
        timeoutMs: this.#limits.statusConnectMs,
        signal: this.#over.signal,
      });
    } catch (error) {
      this.#logger.trace({ err: error }, 'status port does not answer');
      return undefined;
    }
  }

  /** Undefined for a connection that has broken. */
  async #unlessDeaf(stream: VsockStream, reading: Promise<boolean>): Promise<FollowEnd | undefined> {
    const read = new AbortController();
    const over = AbortSignal.any([read.signal, this.#over.signal]);
    const probing = isDeaf(this.#transport, this.#limits, over);
    void probing.then((deaf) => deaf && stream.destroy());
    try {
      if (await reading) return 'final';
    } finally {
      read.abort();
    }
    return (await probing) ? 'deaf' : undefined;
  }

  async #read(stream: VsockStream, onStatus: (status: EnclaveStatus) => Promise<void>): Promise<boolean> {
    const decoder = new StatusDecoder();
    try {
      for await (const chunk of stream) {
        for (const status of decoder.push(chunk as Buffer)) {
          this.spoken = true;
          await onStatus(status);
          if (isFinal(status)) return true;
        }
      }
    } catch (error) {
      // A connection that breaks is taken up again
      const cut = (error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE';
      if (!(error instanceof VsockError) && !cut) throw error;
    } finally {
      stream.destroy();
    }
    return false;
  }
}
