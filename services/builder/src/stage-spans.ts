import type { BuildProgress } from '@enclaver/bus';
import { type OpenSpan, openSpan } from '@enclaver/telemetry';

/** A span for each stage of a build, made from its progress: one ends where the next begins. */
export class StageSpans {
  #stage: BuildProgress['stage'] | undefined;
  #span: OpenSpan | undefined;

  onProgress({ stage }: BuildProgress): void {
    if (stage === this.#stage) return;
    this.#span?.end();
    this.#stage = stage;
    this.#span = openSpan(`build: ${stage}`);
  }

  /** What the task rejects with ends the stage that it was in. */
  async around<T>(task: () => Promise<T>): Promise<T> {
    try {
      const result = await task();
      this.#span?.end();
      return result;
    } catch (error) {
      this.#span?.end({ error });
      throw error;
    }
  }
}
