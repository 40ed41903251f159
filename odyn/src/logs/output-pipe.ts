import { Socket } from 'node:net';
import { limits } from '../limits.ts';
import type { BackPressure } from './back-pressure.ts';
import { LineCutter } from './line-cutter.ts';
import type { LogRing, SourceStream } from './log-ring.ts';
import type { OdynLog } from './odyn-log.ts';

/** Reads one of the app's output streams into the log. */
export class OutputPipe {
  readonly #socket: Socket;
  readonly #closed: Promise<void>;

  /** `fd` is a pipe's reading end in non-blocking mode, which is closed when the stream ends. */
  constructor(fd: number, stream: SourceStream, ring: LogRing, backPressure: BackPressure, log: OdynLog) {
    const cutter = new LineCutter(ring, stream);
    const buffer = Buffer.allocUnsafeSlow(limits.outputReadBytes);
    const callback = (size: number): boolean => {
      cutter.push(buffer.subarray(0, size));
      const wait = backPressure.wait();
      void wait?.then(() => this.#socket.resume());
      return wait === undefined;
    };
    const closed = Promise.withResolvers<void>();
    this.#closed = closed.promise;
    this.#socket = new Socket({ fd, readable: true, writable: false, onread: { buffer, callback } });
    this.#socket.on('error', (error) => log.warn('app output cannot be read', { stream, reason: error.message }));
    this.#socket.on('close', () => {
      cutter.end();
      closed.resolve();
    });
    this.#socket.resume();
  }

  /** Waits until all writers are gone, at most so long; what comes later is not read. */
  async drain(timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => this.#socket.destroy(), timeoutMs);
    await this.#closed;
    clearTimeout(timer);
  }
}
