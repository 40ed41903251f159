import { limits } from '../limits.ts';

/** A reader as far as the writers care. */
export interface Follower {
  /** Bytes of records it has not taken yet. */
  readonly behind: number;
}

/**
 * Holds the app's output back while a reader is far behind, so that nothing is lost to one that keeps up. A reader that
 * does not come close again within a second no longer counts until it has caught up: the parent is not trusted, and
 * could otherwise stop the app by not reading.
 */
export class BackPressure {
  readonly #counted = new Set<Follower>();
  readonly #late = new Set<Follower>();
  #pause: PromiseWithResolvers<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  add(follower: Follower): void {
    // It starts with what happens to be held; only what comes from now on is worth a wait.
    this.#late.add(follower);
    this.progress();
  }

  remove(follower: Follower): void {
    this.#counted.delete(follower);
    this.#late.delete(follower);
    this.progress();
  }

  /** A reader has taken something. */
  progress(): void {
    for (const follower of this.#late) {
      if (follower.behind > limits.logResumeBytes) continue;
      this.#late.delete(follower);
      this.#counted.add(follower);
    }
    if (this.#pause !== undefined && !this.#anyBehind(limits.logResumeBytes)) this.#release();
  }

  /** Undefined when writing may go on, else a promise of when. */
  wait(): Promise<void> | undefined {
    if (this.#pause !== undefined) return this.#pause.promise;
    if (!this.#anyBehind(limits.logPauseBytes)) return undefined;
    this.#pause = Promise.withResolvers();
    this.#timer = setTimeout(() => this.#giveUp(), limits.logStallMs);
    return this.#pause.promise;
  }

  #anyBehind(bytes: number): boolean {
    for (const follower of this.#counted) if (follower.behind > bytes) return true;
    return false;
  }

  #giveUp(): void {
    for (const follower of this.#counted) {
      if (follower.behind <= limits.logResumeBytes) continue;
      this.#counted.delete(follower);
      this.#late.add(follower);
    }
    this.#release();
  }

  #release(): void {
    clearTimeout(this.#timer);
    this.#pause?.resolve();
    this.#pause = undefined;
  }
}
