import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { LineSplitter } from '@enclaver/wire';
import * as z from 'zod';
import { limits } from './limits.ts';

const shutdownSchema = z.object({ event: z.literal('SHUTDOWN'), data: z.object({ reason: z.string() }) });

/** The QEMU Machine Protocol, as far as it tells why a machine ends, and that it has: its socket closes with QEMU. */
export class QmpClient {
  readonly #socket: Socket;
  readonly #lines = new LineSplitter(limits.qmpLineBytes);
  /** `guest-shutdown`, `guest-reset` and the like, once QEMU has said so. */
  shutdownReason: string | undefined;
  /** Resolves when the connection is gone, and QEMU with it. */
  readonly closed: Promise<void>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const closed = Promise.withResolvers<void>();
    this.closed = closed.promise;
    socket.once('close', () => closed.resolve());
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => this.#read(chunk));
    // Events come only after the capabilities have been agreed on; none are asked for
    socket.write('{"execute":"qmp_capabilities"}\n');
  }

  /** Connects as soon as QEMU listens. Undefined when `signal` came first. */
  static async connect(path: string, signal: AbortSignal): Promise<QmpClient | undefined> {
    while (!signal.aborted) {
      const socket = connect({ path });
      try {
        await once(socket, 'connect', { signal });
        return new QmpClient(socket);
      } catch {
        // Not there yet
        socket.destroy();
        await sleep(limits.socketRetryMs);
      }
    }
    return undefined;
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    try {
      for (const line of this.#lines.push(chunk)) {
        const shutdown = shutdownSchema.safeParse(JSON.parse(line.toString('utf8')));
        if (shutdown.success) this.shutdownReason = shutdown.data.data.reason;
      }
    } catch (error) {
      this.#socket.destroy(error as Error);
    }
  }
}
