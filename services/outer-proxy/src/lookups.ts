import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { limits } from './limits.ts';

/** Runs `work` when it is its turn; `work` calls `done` when it has really ended. */
type Waiting = (done: () => void) => void;

/** What one enclave waits for. */
export interface LookupQueue {
  running: number;
  readonly waiting: Waiting[];
}

/**
 * Name look-ups of all enclaves. The system's own resolver is asked each time, with /etc/hosts, search domains and whatever
 * nsswitch.conf names, as programs on the parent do; nothing is kept here, so that a name leads where it leads now. Each
 * look-up holds a thread until it ends, and cannot be called off: an enclave that asks for names nobody answers for gets so
 * many and no more, and enclaves take turns for the others.
 */
export class Lookups {
  readonly #queues: LookupQueue[] = [];
  readonly #ask: typeof lookup;
  #running = 0;

  constructor(ask: typeof lookup = lookup) {
    this.#ask = ask;
  }

  /** One for each enclave; `leave` gives it up. */
  join(): LookupQueue {
    const queue = { running: 0, waiting: [] };
    this.#queues.push(queue);
    return queue;
  }

  leave(queue: LookupQueue): void {
    const index = this.#queues.indexOf(queue);
    if (index >= 0) this.#queues.splice(index, 1);
  }

  /** For `net.connect`: addresses in the resolver's order, tried by it as Happy Eyeballs has it. `signal` ends the waiting. */
  of(queue: LookupQueue, signal: AbortSignal): LookupFunction {
    return (host, options, callback) => {
      const tell = callback as (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => void;
      const start: Waiting = (done) => {
        signal.removeEventListener('abort', onAbort);
        this.#ask(host, { ...(options as LookupOptions), all: true }, (error, found) => {
          done();
          tell(error, found);
        });
      };
      const onAbort = (): void => {
        const index = queue.waiting.indexOf(start);
        if (index >= 0) queue.waiting.splice(index, 1);
      };
      signal.addEventListener('abort', onAbort);
      queue.waiting.push(start);
      this.#next();
    };
  }

  #next(): void {
    while (this.#running < limits.lookups) {
      const queue = this.#queues.find(
        ({ running, waiting }) => waiting.length > 0 && running < limits.lookupsOfEnclave,
      );
      const start = queue?.waiting.shift();
      if (queue === undefined || start === undefined) return;
      // The others first, the next time
      this.leave(queue);
      this.#queues.push(queue);
      this.#running++;
      queue.running++;
      start(() => {
        this.#running--;
        queue.running--;
        this.#next();
      });
    }
  }
}
