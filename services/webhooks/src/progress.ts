import type { EventCursor } from '@enclaver/bus';

/** Which events are done, as a floor below which all are, and those above it. */
export class Progress {
  readonly #created: string;
  readonly #open = new Set<number>();
  readonly #done: Set<number>;
  #floor: number;
  #newest: number;
  isUnsaved = false;

  constructor({ created, floor, done }: EventCursor) {
    this.#created = created;
    this.#floor = floor;
    this.#done = new Set(done);
    this.#newest = floor;
  }

  get floor(): number {
    return this.#floor;
  }

  /** False for an event that was done before. Positions come in order. */
  begin(position: number): boolean {
    this.#newest = position;
    if (this.#done.has(position)) {
      this.#raise();
      return false;
    }
    this.#open.add(position);
    return true;
  }

  end(position: number): void {
    this.#open.delete(position);
    this.#done.add(position);
    this.#raise();
    this.isUnsaved = true;
  }

  cursor(): EventCursor {
    return { created: this.#created, floor: this.#floor, done: [...this.#done] };
  }

  /** What is to be stored now. */
  save(): EventCursor {
    this.isUnsaved = false;
    return this.cursor();
  }

  /** The oldest open one is the first of the set, since they were added in order. */
  #raise(): void {
    const [oldest] = this.#open;
    this.#floor = oldest === undefined ? this.#newest : oldest - 1;
    for (const position of this.#done) if (position <= this.#floor) this.#done.delete(position);
  }
}
