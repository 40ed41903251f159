/** As much of an AbortSignal as is needed to end a request early; an AbortSignal is one. */
export interface Cancel {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void): void;
}

/** Ends a request early. An AbortController does more, and costs as much as all else that is done with a small request. */
export class Canceller implements Cancel {
  readonly #onAbort: (() => void)[] = [];
  #aborted = false;

  get aborted(): boolean {
    return this.#aborted;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#onAbort.push(listener);
  }

  /** For what takes no other. */
  signal(): AbortSignal {
    const controller = new AbortController();
    this.addEventListener('abort', () => controller.abort());
    if (this.#aborted) controller.abort();
    return controller.signal;
  }

  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    for (const listener of this.#onAbort) listener();
  }
}
