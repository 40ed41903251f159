import { BuilderError } from './builder-error.ts';
import { serviceLimits } from './limits.ts';

/** Builds that run or wait, by the id that their caller gave. */
export class RunningBuilds {
  readonly #running = new Map<string, AbortController>();

  /** Runs a task with a signal that `cancel` aborts, and time. Throws BUILD_CANCELLED and BUILD_TIMEOUT then. */
  async run<T>(id: string, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#running.set(id, controller);
    const timer = setTimeout(() => controller.abort(tooLong()), serviceLimits.requestMs);
    try {
      return await task(controller.signal);
    } catch (error) {
      // What was under way fails in its own words when it is broken off
      if (controller.signal.aborted) throw controller.signal.reason;
      throw error;
    } finally {
      clearTimeout(timer);
      if (this.#running.get(id) === controller) this.#running.delete(id);
    }
  }

  /** False where no such build runs or waits. */
  cancel(id: string): boolean {
    const controller = this.#running.get(id);
    controller?.abort(
      new BuilderError('BUILD_CANCELLED', 'the build was cancelled; a release image that was delivered by then stays', {
        remedy: 'start it again',
      }),
    );
    return controller !== undefined;
  }
}

function tooLong(): BuilderError {
  return new BuilderError('BUILD_TIMEOUT', `not done within ${serviceLimits.requestMs / 1000} s, and ended`, {
    remedy: 'see in the progress, or in the log of the builder, what it waited for: a registry, an engine, a disk',
  });
}
