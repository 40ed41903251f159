import type { Bus, EnclaveEvent, EnclaveRecord } from '@enclaver/bus';
import type { Logger } from 'pino';
import type { Enclave } from '../lifecycle/enclave.ts';
import type { Limits } from '../limits.ts';
import { Handover } from './handover.ts';

export interface UpdatesOptions {
  bus: Bus;
  logger: Logger;
  limits: Limits;
  get: (id: string) => Enclave | undefined;
  /** Who has the name now, and with it the ports: a restart may have put another one in the place of the one that is updated. */
  holder: (name: string) => EnclaveRecord | undefined;
  /** Takes back a restart that is to come. */
  cancelRestart: (id: string) => Promise<unknown>;
}

/**
 * The updates under way. How far one is stands in the record of its new enclave: `takesOver` until the ports are moved, `update`
 * until the old one is stopped; so a later supervisor goes on from there.
 */
export class Updates {
  readonly #options: UpdatesOptions;
  readonly #handovers = new Set<Handover>();
  readonly #over = new AbortController();

  constructor(options: UpdatesOptions) {
    this.#options = options;
  }

  /** Leads the new enclave of an update to its place. When it ends before that, the old one was never touched. */
  follow(next: Enclave): void {
    this.#lead(next).catch((error: unknown) => {
      this.#options.logger.error({ err: error, enclave: next.id }, 'update failed');
      next.life.fail(error);
    });
  }

  onEvent(event: EnclaveEvent): void {
    for (const handover of this.#handovers) handover.onEvent(event);
  }

  /** Leaves them to the next supervisor. */
  close(): void {
    this.#over.abort();
  }

  async #lead(next: Enclave): Promise<void> {
    await Promise.race([next.life.ready, next.life.over]);
    // Told in this order
    await next.life.written();
    const { update, takesOver } = next.record;
    if (update === undefined || next.life.ended || this.#over.signal.aborted) return;
    // An earlier supervisor has moved the ports
    if (takesOver === undefined)
      return await this.#retire(next, this.#handover(next.record.replaces ?? '', next.id, []));
    const from = this.#options.holder(next.record.name)?.id ?? takesOver;
    // One that has ended gives its ports for good; no restart shall open them once more
    await this.#options.cancelRestart(from);
    const handover = this.#handover(from, next.id, update.ingress);
    try {
      const ingress = await handover.run();
      if (ingress === undefined) return;
      if (next.life.ended) return await this.#giveBack(next.id, from);
      next.life.note({ ingress, takesOver: undefined, replaces: from });
      await this.#retire(next, handover);
    } finally {
      this.#handovers.delete(handover);
    }
  }

  /** It has ended while its ports were moved to it: they are the old one's again. */
  async #giveBack(from: string, to: string): Promise<void> {
    const old = this.#options.get(to);
    if (old === undefined || old.life.ended) return;
    const handover = this.#handover(from, to, old.record.ingress);
    await handover.run();
    this.#handovers.delete(handover);
  }

  /** Ends the old one, once its connections have ended or had their time. */
  async #retire(next: Enclave, { drained }: Handover): Promise<void> {
    const { replaces, update } = next.record;
    const old = replaces === undefined ? undefined : this.#options.get(replaces);
    if (old !== undefined && update !== undefined && !old.life.ended) {
      // Whatever it ends by, its name has gone on
      old.life.note({ ingress: [], restart: undefined });
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, update.drainMs);
      await Promise.race([drained, late.promise, old.life.over, aborted(this.#over.signal)]);
      clearTimeout(timer);
      if (this.#over.signal.aborted) return;
      old.stop(update.graceMs);
      await Promise.race([old.life.over, aborted(this.#over.signal)]);
      if (this.#over.signal.aborted) return;
    }
    if (!next.life.ended) next.life.note({ update: undefined });
  }

  #handover(from: string, to: string, ingress: EnclaveRecord['ingress']): Handover {
    const { bus, limits } = this.#options;
    const handover = new Handover({ bus, from, to, ingress, limits, signal: this.#over.signal });
    this.#handovers.add(handover);
    return handover;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
