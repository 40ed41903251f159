import type { Bus } from '@enclaver/bus';

/** Longest time that a line is on its way. */
const LATEST_MS = 60_000;

/** Follows an app's log, whose lines are `line 0`, `line 1` and so on. */
export class NumberedLines {
  /** What was seen; lost are those that the next one skipped or that a part says it has lost. */
  readonly seen = { read: 0, lost: 0, repeated: 0, wrong: 0 };
  #next = 0;

  constructor(bus: Bus, id: string) {
    void this.#follow(bus, id);
  }

  /** So many have come, or no more are to be hoped for. */
  async until(count: number): Promise<void> {
    const latest = performance.now() + LATEST_MS;
    while (this.#next < count && performance.now() < latest) await new Promise((resolve) => setTimeout(resolve, 100));
    this.seen.lost += Math.max(0, count - this.#next);
  }

  async #follow(bus: Bus, id: string): Promise<void> {
    for await (const { lines, lost } of bus.logs({ id, streams: ['stdout'], follow: true })) {
      if (lost !== undefined) this.seen.wrong += 1;
      for (const { text } of lines) this.#take(text);
    }
  }

  #take(text: string): void {
    const number = Number(/^line (\d+)$/.exec(text)?.[1] ?? Number.NaN);
    this.seen.read += 1;
    if (Number.isNaN(number)) this.seen.wrong += 1;
    else if (number < this.#next) this.seen.repeated += 1;
    else {
      this.seen.lost += number - this.#next;
      this.#next = number + 1;
    }
  }
}
