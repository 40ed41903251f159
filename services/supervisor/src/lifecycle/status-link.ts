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

  /**
   * Reads until a final status (true), or until the port has been silent for too long or `close` was called (false).
   * Throws WireError when the enclave breaks the protocol.
   */
  async follow(onStatus: (status: EnclaveStatus) => Promise<void>): Promise<boolean> {
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
      if (await reading) return true;
      this.#stream = undefined;
      deadline = performance.now() + (this.spoken ? this.#limits.statusSilenceMs : this.#limits.statusMs);
    }
    return false;
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
