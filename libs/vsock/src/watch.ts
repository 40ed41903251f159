import { type Addon, addon, type PollHandle } from './addon.ts';
import { errnoName, VsockError } from './errors.ts';

export const READABLE = 1;
export const WRITABLE = 2;

/** A descriptor in the event loop. Owns the descriptor: close() closes both. It keeps the process alive while it waits. */
export class Watch {
  readonly fd: number;
  onEvents: (events: number) => void;
  readonly #addon: Addon = addon();
  readonly #poll: PollHandle;
  #wanted = 0;
  #closed = false;

  constructor(fd: number, onEvents: (events: number) => void) {
    this.fd = fd;
    this.onEvents = onEvents;
    const poll = this.#addon.pollCreate(fd, (events) => this.#told(events));
    if (typeof poll === 'number') throw systemError('watching a socket', -poll);
    this.#poll = poll;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** An error on the socket stops libuv's watcher: it goes on, and the next socket call meets the error itself. */
  #told(events: number): void {
    if (events < 0) {
      const wanted = this.#wanted;
      this.#wanted = 0;
      this.want(wanted);
    }
    this.onEvents(events < 0 ? READABLE | WRITABLE : events);
  }

  want(events: number): void {
    if (this.#closed || events === this.#wanted) return;
    const result = this.#addon.pollSet(this.#poll, events);
    if (result < 0) throw systemError('watching a socket', -result);
    this.#wanted = events;
  }

  add(events: number): void {
    this.want(this.#wanted | events);
  }

  remove(events: number): void {
    this.want(this.#wanted & ~events);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#addon.pollClose(this.#poll);
  }
}

export function systemError(what: string, errno: number): VsockError {
  return new VsockError('SYSTEM_FAILED', `${what} failed (${errnoName(errno)})`, { errno });
}
