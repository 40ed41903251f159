import type { VsockStream } from '@enclaver/vsock';
import { limits } from '../limits.ts';

interface Idle {
  readonly stream: VsockStream;
  /** Stops watching it. */
  release(): void;
}

/**
 * Connections to servers that wait for the next forwarded request to the same destination. What the policy has let
 * through once it lets through again, since it does not change.
 */
export class ServerConnections {
  readonly #idle = new Map<string, Idle[]>();
  #count = 0;

  /** The one that was used last, undefined when there is none. `destination` is `host:port`. */
  take(destination: string): VsockStream | undefined {
    const found = this.#idle.get(destination)?.at(-1);
    if (found === undefined) return undefined;
    this.#remove(destination, found);
    return found.stream;
  }

  /**
   * After a whole answer that leaves the connection open; `keepAlive` is its header of that name. Closed are one too many,
   * one that ends, and one on which anything comes that no request asked for.
   */
  give(destination: string, stream: VsockStream, keepAlive: string | undefined): void {
    const others = this.#idle.get(destination) ?? [];
    const idleMs = idleTime(keepAlive);
    const isFull = others.length >= limits.egressIdlePerServer || this.#count >= limits.egressIdleServers;
    if (stream.destroyed || stream.readableEnded || isFull || idleMs <= 0) {
      stream.destroy();
      return;
    }
    const drop = (): void => {
      this.#remove(destination, entry);
      stream.destroy();
    };
    const timer = setTimeout(drop, idleMs).unref();
    const release = (): void => {
      clearTimeout(timer);
      stream.off('data', drop).off('end', drop).off('close', drop);
    };
    const entry = { stream, release };
    stream.on('data', drop).on('end', drop).on('close', drop);
    this.#idle.set(destination, [...others, entry]);
    this.#count++;
  }

  close(): void {
    for (const { stream } of [...this.#idle.values()].flat()) stream.destroy();
  }

  #remove(destination: string, entry: Idle): void {
    const before = this.#idle.get(destination);
    if (before === undefined || !before.includes(entry)) return;
    entry.release();
    const left = before.filter((one) => one !== entry);
    if (left.length === 0) this.#idle.delete(destination);
    else this.#idle.set(destination, left);
    this.#count--;
  }
}

/** Ours, or a second less than the server says that it waits. */
function idleTime(keepAlive = ''): number {
  const seconds = /(?:^|[,\s])timeout\s*=\s*(\d{1,6})/i.exec(keepAlive)?.[1];
  const serverMs = seconds === undefined ? Number.POSITIVE_INFINITY : (Number(seconds) - 1) * 1_000;
  return Math.min(limits.egressIdleServerMs, serverMs);
}
