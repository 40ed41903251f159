import type { Bus } from '@enclaver/bus';
import { limits } from '../limits.ts';

/** The last lines of an enclave's console, as the log-relay publishes them: what a post-mortem starts with. */
export class ConsoleTail {
  readonly #watch: ReturnType<Bus['logs']>;
  #lines: string[] = [];

  constructor(bus: Bus, id: string) {
    this.#watch = bus.logs({ id, streams: ['console'], follow: true });
    void this.#follow();
  }

  get lines(): string[] {
    return [...this.#lines];
  }

  close(): Promise<void> {
    return this.#watch.close();
  }

  async #follow(): Promise<void> {
    for await (const { lines } of this.#watch) {
      const texts = lines
        .filter(({ encoding }) => encoding === undefined)
        .map(({ text }) => text.slice(0, limits.consoleLineLength));
      this.#lines = [...this.#lines, ...texts].slice(-limits.consoleLines);
    }
  }
}
