/** The timers of one enclave, so that none outlives it. */
export class Timers {
  readonly #running = new Set<NodeJS.Timeout>();

  after(ms: number, onTime: () => void): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#running.delete(timer);
      onTime();
    }, ms);
    this.#running.add(timer);
    return timer;
  }

  clear(timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    this.#running.delete(timer);
  }

  clearAll(): void {
    for (const timer of this.#running) clearTimeout(timer);
    this.#running.clear();
  }
}
