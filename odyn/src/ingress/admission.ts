import type { Socket } from 'node:net';
import type { IngressPort } from '@enclaver/manifest';
import type { VsockTransport } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import { type PeerGate, peerScreen } from './peer-gate.ts';
import { Rate } from './rate.ts';
import type { RefusalCounts } from './refusals.ts';
import { screenStream } from './screen-stream.ts';

export interface AdmissionCounts extends RefusalCounts {
  /** With those that are being decided upon. */
  active: number;
  /** Those that were let in. */
  accepted: number;
}

/** `head` is what the app is to hear first. */
type Serve = (socket: Socket, head: Buffer) => void;

/** The door of a port whose connections JavaScript accepts: what the relay does for the others (limits, a look at the client). */
export class Admission {
  readonly #counts = { active: 0, accepted: 0, refused: 0, rateLimited: 0, undecided: 0 };
  readonly #port: number;
  readonly #max: number;
  readonly #gate: PeerGate | undefined;
  readonly #rate: Rate | undefined;
  readonly #open = new Set<Socket>();
  #listener: { close(): Promise<void> } | undefined;

  constructor({ listenPort, maxConnections, rateLimit }: IngressPort, gate: PeerGate | undefined, defaultMax: number) {
    this.#port = listenPort;
    this.#max = maxConnections ?? defaultMax;
    this.#gate = gate;
    this.#rate = rateLimit && new Rate(rateLimit);
  }

  get counts(): AdmissionCounts {
    const { undecided, ...counts } = this.#counts;
    const { denied = 0, badHeaders = 0 } = this.#gate?.counts ?? {};
    return { ...counts, denied, badHeaders: badHeaders + undecided };
  }

  /** `serve` gets each connection that may come in. Throws VsockError. */
  async listen(transport: VsockTransport, serve: Serve): Promise<void> {
    this.#listener = await transport.listenSockets(this.#port, (socket) => void this.#accept(socket, serve));
  }

  /** Takes nobody in any more; what is on its way to clients may still go for a moment. */
  async close(): Promise<void> {
    await this.#listener?.close();
    const until = performance.now() + limits.ingressDrainMs;
    while (this.#open.size > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
    for (const socket of this.#open) socket.destroy();
  }

  async #accept(socket: Socket, serve: Serve): Promise<void> {
    socket.on('error', () => socket.destroy());
    if (this.#open.size >= this.#max) {
      this.#counts.refused++;
      socket.destroy();
      return;
    }
    this.#counts.active++;
    this.#open.add(socket);
    socket.once('close', () => {
      this.#counts.active--;
      this.#open.delete(socket);
    });
    let head = NOTHING;
    if (this.#gate !== undefined) {
      const passed = await screenStream(socket, peerScreen(this.#gate));
      if (typeof passed === 'string') {
        if (passed === 'undecided') this.#counts.undecided++;
        socket.destroy();
        return;
      }
      head = passed.head;
      if (passed.rest.length > 0) socket.unshift(passed.rest);
    }
    if (this.#rate?.take() === false) {
      this.#counts.rateLimited++;
      socket.destroy();
      return;
    }
    if (socket.destroyed) return;
    this.#counts.accepted++;
    serve(socket, head);
  }
}

const NOTHING: Buffer = Buffer.alloc(0);
