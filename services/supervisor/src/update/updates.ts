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
  holders: (name: string) => EnclaveRecord[];
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
    if (takesOver === undefined) {
      return await this.#during({ from: next.record.replaces ?? '', to: next.id, ingress: [] }, (handover) =>
        this.#retire(next, handover),
      );
    }
    const from = this.#options.holders(next.record.name)[0]?.id ?? takesOver;
    // Somebody takes the update back; an earlier supervisor may have asked for the ports
    if (isEnding(next)) return await this.#giveBack(next.id, from);
    // One that has ended gives its ports for good; no restart shall open them once more
    await this.#options.cancelRestart(from);
    await this.#during({ from, to: next.id, ingress: update.ingress }, async (handover) => {
      const ingress = await handover.run().catch(async (error: unknown) => {
        next.life.fail(error);
        // Who was silent may still do as it was asked: the last word is that the ports are the old one's
        await this.#giveBack(next.id, from);
        throw error;
      });
      if (ingress === undefined) return;
      if (isEnding(next)) return await this.#giveBack(next.id, from);
      next.life.note({ ingress, takesOver: undefined, replaces: from });
      await this.#retire(next, handover);
    });
  }

  /** It has ended while its ports were moved to it: they are the old one's again. */
  async #giveBack(from: string, to: string): Promise<void> {
    const old = this.#options.get(to);
    if (old === undefined || old.life.ended) return;
    await this.#during({ from, to, ingress: old.record.ingress }, (handover) => handover.run());
  }

  /** Ends the old one, once its connections have ended or had their time, and what a restart has put there meanwhile or would. */
  async #retire(next: Enclave, { drained }: Handover): Promise<void> {
    const { name, replaces, update } = next.record;
    if (update === undefined) return;
    // Now: later a restart of the new one may be among them
    const holders = this.#options.holders(name).filter(({ id }) => id !== next.id);
    const over = aborted(this.#over.signal);
    const old = replaces === undefined ? undefined : this.#options.get(replaces);
    if (old !== undefined && !old.life.ended) {
      // Whatever it ends by, its name has gone on
      old.life.note({ ingress: [], restart: undefined });
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, update.drainMs);
      await Promise.race([drained, late.promise, old.life.over, over]);
      clearTimeout(timer);
    }
    for (const { id } of holders) {
      if (this.#over.signal.aborted) return;
      await this.#options.cancelRestart(id);
      const holder = this.#options.get(id);
      holder?.stop(update.graceMs);
      await Promise.race([holder?.life.over, over]);
    }
    if (!this.#over.signal.aborted && !next.life.ended) next.life.note({ update: undefined });
  }

  /** While `act` goes on, the handover hears what the outer-proxy says. */
  async #during<T>(
    ports: { from: string; to: string; ingress: EnclaveRecord['ingress'] },
    act: (handover: Handover) => Promise<T>,
  ): Promise<T> {
    const { bus, limits } = this.#options;
    const handover = new Handover({ ...ports, bus, limits, signal: this.#over.signal });
    this.#handovers.add(handover);
    try {
      return await act(handover);
    } finally {
      this.#handovers.delete(handover);
    }
  }
}

function isEnding({ life, record }: Enclave): boolean {
  return life.ended || record.state === 'stopping';
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
