import type { Answer, Asked } from './message.ts';
import { RequestError } from './request-error.ts';
import type { Upgraded, Upstream } from './upstream.ts';

/** One request under way. */
export class Running {
  readonly #upstream: Upstream;
  readonly #gone = new AbortController();
  readonly #answerMs: number;
  #outcome: 'aborted' | 'failed' | 'timedOut' | undefined;

  /** `answerMs`: what the enclave has to begin its answer in, from the end of the request. */
  constructor(upstream: Upstream, answerMs: number) {
    this.#upstream = upstream;
    this.#answerMs = answerMs;
  }

  /** Aborts when the request is to end: the client or the enclave went away, or it took too long. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** What went wrong first, as far as it is known here. */
  get outcome(): 'aborted' | 'failed' | 'timedOut' | undefined {
    return this.#outcome;
  }

  /** Ends it: the client went away, or it took too long, and `reason` is what the client is answered. */
  abort(reason?: RequestError): void {
    this.#outcome ??= reason === undefined ? 'aborted' : 'timedOut';
    this.#gone.abort(reason);
  }

  /** @throws RequestError, HttpFault */
  async ask(asked: Asked): Promise<Answer> {
    const answer = await this.#inTime(asked, this.#upstream.ask(asked, this.signal));
    answer.body.once('error', () => {
      this.#outcome ??= 'failed';
    });
    return answer;
  }

  /** @throws RequestError, HttpFault */
  upgrade(asked: Asked, protocol: string): Promise<Upgraded | Answer> {
    return this.#inTime(asked, this.#upstream.upgrade(asked, protocol, this.signal));
  }

  async #inTime<T>({ body }: Asked, answered: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const start = (): void => {
      timer = setTimeout(() => {
        this.abort(new RequestError(504, 'ENCLAVE_TIMEOUT', 'the enclave did not answer in time'));
      }, this.#answerMs);
    };
    if (body === undefined || body.readableEnded) start();
    else body.once('end', start);
    try {
      return await answered;
    } finally {
      body?.off('end', start);
      clearTimeout(timer);
    }
  }
}
