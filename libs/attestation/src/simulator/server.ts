import type { Duplex } from 'node:stream';
import { NsmError } from '../nsm/errors.ts';
import { encodeFrame, readFrame } from '../nsm/frame.ts';
import type { NsmTransport } from '../nsm/nsm.ts';
import { EXCHANGE_MS, MAX_CONNECTIONS } from './limits.ts';

export interface SimulatorServerOptions {
  /** Told why a connection was cut: the peer broke the protocol, was too slow, went away; or the simulator failed. */
  onFailure: (error: Error) => void;
}

/**
 * Offers a simulator over streams, for `streamTransport`: one request and one answer each (`nsm/frame.ts`). Whoever listens
 * gives it the streams; **whoever can connect may extend and lock registers**, as on the device.
 */
export class SimulatorServer {
  readonly #request: NsmTransport;
  readonly #onFailure: (error: Error) => void;
  readonly #streams = new Set<Duplex>();

  constructor(simulator: { request: NsmTransport }, { onFailure }: SimulatorServerOptions) {
    this.#request = simulator.request;
    this.#onFailure = onFailure;
  }

  /** Takes over a connection, and closes it. */
  accept(stream: Duplex): void {
    stream.on('error', this.#onFailure);
    if (this.#streams.size >= MAX_CONNECTIONS) {
      stream.destroy(new NsmError('NSM_BUSY', `${MAX_CONNECTIONS} connections are open; no more are allowed`));
      return;
    }
    this.#streams.add(stream);
    const timer = setTimeout(() => {
      stream.destroy(new NsmError('NSM_TIMEOUT', `a connection was not done within ${EXCHANGE_MS} ms`));
    }, EXCHANGE_MS);
    stream.once('close', () => {
      clearTimeout(timer);
      this.#streams.delete(stream);
    });
    this.#serve(stream).catch((error: Error) => stream.destroy(error));
  }

  /** Cuts the connections that are open. */
  close(): void {
    for (const stream of this.#streams) stream.destroy();
  }

  async #serve(stream: Duplex): Promise<void> {
    const request = await readFrame(stream);
    stream.end(encodeFrame(await this.#request(request)));
    // The peer has nothing more to say; its end lets the stream close.
    stream.resume();
  }
}
