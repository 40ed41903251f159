import { BuilderError } from './builder-error.ts';

/** Builds that run or wait, by the id that their caller gave. */
export class RunningBuilds {
  readonly #running = new Map<string, AbortController>();

  /** Runs a task with a signal that `cancel` aborts. Throws BUILD_CANCELLED when it was. */
  async run<T>(id: string, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#running.set(id, controller);
    try {
      return await task(controller.signal);
    } catch (error) {
      // What was under way fails in its own words when it is broken off
      if (controller.signal.aborted) throw controller.signal.reason;
      throw error;
    } finally {
      if (this.#running.get(id) === controller) this.#running.delete(id);
    }
  }

  /** False where no such build runs or waits. */
  cancel(id: string): boolean {
    const controller = this.#running.get(id);
    controller?.abort(
      new BuilderError('BUILD_CANCELLED', 'the build was cancelled; nothing of it was kept', {
        remedy: 'start it again',
      }),
    );
    return controller !== undefined;
  }
}
