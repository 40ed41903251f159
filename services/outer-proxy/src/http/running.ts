import { Canceller } from '@enclaver/http-forward';
import type { Answer, Asked } from './message.ts';
import type { RequestEntry } from './request-entry.ts';
import { RequestError } from './request-error.ts';
import type { Share } from './share.ts';
import type { Upgraded, Upstream } from './upstream.ts';

/** One request under way. It is the signal of its own end. */
export class Running extends Canceller {
  readonly entry: RequestEntry;
  readonly share: Share;
  readonly #upstream: Upstream;
  readonly #answerMs: number;
  #reason: RequestError | undefined;
  #outcome: 'aborted' | 'failed' | 'timedOut' | undefined;

  /** `answerMs`: what the enclave has to begin its answer in, from the end of the request. */
  constructor(entry: RequestEntry, share: Share, upstream: Upstream, answerMs: number) {
    super();
    this.entry = entry;
    this.share = share;
    this.#upstream = upstream;
    this.#answerMs = answerMs;
  }

  /** What the client is answered then, if it is still there. */
  get reason(): RequestError | undefined {
    return this.#reason;
  }

  /** What went wrong first, as far as it is known here. */
  get outcome(): 'aborted' | 'failed' | 'timedOut' | undefined {
    return this.#outcome;
  }

  /** Ends it: the client went away, or it took too long, and `reason` is what the client is answered. */
  override abort(reason?: RequestError): void {
    if (this.aborted) return;
    this.#reason = reason;
    this.#outcome ??= reason === undefined ? 'aborted' : 'timedOut';
    super.abort();
  }

  /** Nothing of the request's body has moved for as long as it may; true when that is the bound on bytes, which it waits for. */
  stoodStill(hasBytes: boolean): boolean {
    if (hasBytes && this.share.isHeld) return true;
    this.abort(new RequestError(408, 'REQUEST_TIMEOUT', 'the body of the request stands still'));
    return false;
  }

  /** The answer broke off. */
  failed(): void {
    this.#outcome ??= 'failed';
  }

  /** @throws RequestError, HttpFault */
  async ask(asked: Asked): Promise<Answer> {
    return await this.#inTurn(asked, () => this.#upstream.ask(asked, this));
  }

  /** @throws RequestError, HttpFault */
  async upgrade(asked: Asked, protocol: string): Promise<Upgraded | Answer> {
    return await this.#inTurn(asked, () => this.#upstream.upgrade(asked, protocol, this));
  }

  async #inTurn<T>({ body }: Asked, ask: () => Promise<T>): Promise<T> {
    const turn = this.share.turn();
    if (turn !== undefined) await turn;
    const answered = ask();
    let timer: NodeJS.Timeout | undefined;
    const start = (): void => {
      timer = setTimeout(() => {
        // Its last bytes may not have reached the enclave
        if (this.share.isHeld) return start();
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
