import type { Duplex } from 'node:stream';

export interface KeptLimits {
  /** To one destination. */
  readonly each: number;
  readonly all: number;
  /** How long one waits. */
  readonly idleMs: number;
}

interface Idle {
  readonly stream: Duplex;
  /** Stops watching it. */
  release(): void;
}

/** Connections to servers that wait for the next forwarded request to the same destination. */
export class KeptConnections {
  readonly #idle = new Map<string, Idle[]>();
  readonly #limits: KeptLimits;
  #count = 0;

  constructor(bounds: KeptLimits) {
    this.#limits = bounds;
  }

  /** The one that was used last, undefined when there is none. */
  take(destination: string): Duplex | undefined {
    const found = this.#idle.get(destination)?.at(-1);
    if (found === undefined) return undefined;
    this.#remove(destination, found);
    return found.stream;
  }

  /**
   * After a whole answer that leaves the connection open; `keepAlive` is its header of that name. Closed are one too many,
   * one that ends, and one on which anything comes that no request asked for.
   */
  give(destination: string, stream: Duplex, keepAlive: string | undefined): void {
    const others = this.#idle.get(destination) ?? [];
    const idleMs = Math.min(this.#limits.idleMs, waitOf(keepAlive));
    const isFull = others.length >= this.#limits.each || this.#count >= this.#limits.all;
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

/** A second less than the server says that it waits. */
function waitOf(keepAlive = ''): number {
  const seconds = /(?:^|[,\s])timeout\s*=\s*(\d{1,6})/i.exec(keepAlive)?.[1];
  return seconds === undefined ? Number.POSITIVE_INFINITY : (Number(seconds) - 1) * 1_000;
}
