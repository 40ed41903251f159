import { closeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { getSystemErrorName } from 'node:util';
import { limits } from '../limits.ts';

interface Addon {
  open(path: Uint8Array): number;
  send(descriptor: number, bytes: Uint8Array): number;
}

/** Datagrams to a Unix socket, which Node has no words for: `native/datagram.c` has. */
export class UnixDatagrams {
  readonly #addon: Addon;
  readonly #path: string;
  #descriptor: number | undefined;

  constructor(path: string) {
    this.#path = path;
    const file = join(import.meta.dirname, `../../build/datagram-${process.arch}.node`);
    try {
      this.#addon = createRequire(import.meta.url)(file) as Addon;
    } catch (cause) {
      throw new Error(`the native part of the log-relay could not be loaded from ${file}: npm run build`, { cause });
    }
  }

  /**
   * Resolves when the receiver has all in its queue, with the number of datagrams that it can never take. Waits while the queue
   * is full. Rejects when nobody listens there; after that it connects anew.
   */
  async send(datagrams: readonly Buffer[], signal: AbortSignal): Promise<number> {
    let until = performance.now() + limits.datagramTimeoutMs;
    let refused = 0;
    for (const datagram of datagrams) {
      for (;;) {
        signal.throwIfAborted();
        this.#descriptor ??= this.#connect();
        const error = this.#addon.send(this.#descriptor, datagram);
        if (error === 0) {
          until = performance.now() + limits.datagramTimeoutMs;
          break;
        }
        const name = getSystemErrorName(error);
        if (name === 'EMSGSIZE') {
          refused += 1;
          break;
        }
        if ((name !== 'EAGAIN' && name !== 'ENOBUFS') || performance.now() > until) {
          this.close();
          throw new Error(`${name}, the receiver ${name === 'EAGAIN' ? 'takes nothing' : 'is gone'}`);
        }
        await sleep(limits.datagramRetryMs);
      }
    }
    return refused;
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #connect(): number {
    const descriptor = this.#addon.open(Buffer.from(this.#path));
    if (descriptor < 0) throw new Error(`${getSystemErrorName(descriptor)}, nobody listens at ${this.#path}`);
    return descriptor;
  }
}
