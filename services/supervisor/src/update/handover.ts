import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus, EnclaveEvent, ErrorData, PublishedPort } from '@enclaver/bus';
import type { Limits } from '../limits.ts';
import { SupervisorError } from '../supervisor-error.ts';

export interface HandoverOptions {
  bus: Bus;
  from: string;
  to: string;
  ingress: PublishedPort[];
  limits: Limits;
  /** Nobody waits for it any more. */
  signal: AbortSignal;
}

/** Has the outer-proxy move ports from one enclave to another: asks again until it has answered, so that one that restarts is asked, too. */
export class Handover {
  readonly #options: HandoverOptions;
  readonly #answered = Promise.withResolvers<PublishedPort[]>();
  readonly #drained = Promise.withResolvers<void>();

  constructor(options: HandoverOptions) {
    this.#options = options;
    // Told to who runs it
    this.#answered.promise.catch(() => undefined);
  }

  /** Resolves when the connections of `from` have ended. */
  get drained(): Promise<void> {
    return this.#drained.promise;
  }

  onEvent(event: EnclaveEvent): void {
    if (event.id !== this.#options.to) return;
    if (event.name === 'handed-over') this.#answered.resolve(event.data.ingress);
    else if (event.name === 'handover-failed') this.#answered.reject(new HandoverError(event.data.error));
    else if (event.name === 'drained' && event.data.from === this.#options.from) this.#drained.resolve();
  }

  /** The ports as they are open now; undefined when the signal came first. Errors: the outer-proxy's; `HANDOVER_SILENT`. */
  async run(): Promise<PublishedPort[] | undefined> {
    const { bus, from, to, ingress, limits, signal } = this.#options;
    if (ingress.length === 0) {
      this.#drained.resolve();
      return [];
    }
    // Time without a bus is nobody's silence
    for (let waitedMs = 0; waitedMs < limits.handoverMs && !signal.aborted; ) {
      await bus.publishEvent(to, 'handover', { from, to, ingress });
      const moved = await Promise.race([
        this.#answered.promise,
        sleep(limits.handoverRetryMs, undefined, { signal }).catch(() => undefined),
      ]);
      if (moved !== undefined) return moved;
      if (bus.isConnected) waitedMs += limits.handoverRetryMs;
    }
    if (signal.aborted) return undefined;
    const message = `the outer-proxy did not move the ports of ${from} within ${limits.handoverMs} ms`;
    throw new SupervisorError('HANDOVER_SILENT', message, { remedy: 'see its log; the old enclave goes on' });
  }
}

/** What the outer-proxy said. */
class HandoverError extends Error {
  override readonly name = 'HandoverError';
  readonly code: string;
  readonly remedy: string | undefined;

  constructor({ code, message, remedy }: ErrorData) {
    super(message);
    this.code = code;
    this.remedy = remedy;
  }
}
