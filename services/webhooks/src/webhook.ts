import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus, EventCursor, StoredEvent } from '@enclaver/bus';
import type { Logger } from 'pino';
import type { Target } from './config.ts';
import { type Limits, limits } from './limits.ts';
import type { WebhookMetrics } from './metrics.ts';
import { Progress } from './progress.ts';
import { TargetClient } from './request.ts';
import type { TargetWarnings } from './target-warnings.ts';

export interface WebhookOptions {
  bus: Bus;
  target: Target;
  logger: Logger;
  metrics: WebhookMetrics;
  warnings: TargetWarnings;
  limits?: Limits;
}

/**
 * Passes events on to one target, at least once: those of an enclave in order, those of different enclaves side by side. How
 * far it has come lies on the bus, so that a restart loses nothing. An event that the target does not take is given up after
 * some tries, with a warning.
 */
export class Webhook {
  readonly #options: WebhookOptions;
  readonly #limits: Limits;
  readonly #client: TargetClient;
  readonly #stop = new AbortController();
  /** The last event of each enclave that is under way: the next one waits for it. */
  readonly #chains = new Map<string, Promise<void>>();
  #progress = new Progress({ created: '', floor: 0, done: [] });
  #waiting = 0;
  #running = 0;
  #wake = Promise.withResolvers<void>();
  #saving: Promise<void> | undefined;
  #work: Promise<void> | undefined;

  constructor(options: WebhookOptions) {
    this.#options = options;
    this.#limits = options.limits ?? limits;
    this.#client = new TargetClient(options.target, this.#limits);
  }

  /** Resolves once it is known where to go on; what fails later is told to `onFailure`. */
  async start(onFailure: (error: unknown) => void): Promise<void> {
    this.#progress = new Progress(await this.#begin());
    const { created, floor } = this.#progress.cursor();
    this.#options.logger.info({ target: this.#options.target.name, created, floor }, 'webhook goes on behind');
    this.#work = this.#read(floor).catch(onFailure);
  }

  /** Waits for no retry: what is not delivered comes again with the next start. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#changed();
    await this.#work;
    await Promise.all(this.#chains.values());
    await this.#saving;
    this.#client.close();
  }

  async #begin(): Promise<EventCursor> {
    const { bus, target, warnings } = this.#options;
    const { created, first, last } = await bus.eventStore.extent();
    const known = await bus.eventStore.cursor(target.name);
    if (known === undefined || known.created !== created) {
      const cursor = { created, floor: last, done: [] };
      await bus.eventStore.putCursor(target.name, cursor);
      return cursor;
    }
    const lost = first - 1 - known.floor;
    if (lost <= 0) return known;
    warnings.raise('WEBHOOK_EVENTS_LOST', target.name, `${lost} events were not kept for so long`);
    return { created, floor: first - 1, done: known.done.filter((position) => position >= first) };
  }

  async #read(floor: number): Promise<void> {
    const watch = this.#options.bus.eventStore.after(floor);
    this.#stop.signal.addEventListener('abort', () => void watch.close());
    for await (const event of watch) {
      while (!this.#stop.signal.aborted && !this.#hasRoom(event.position)) await this.#wake.promise;
      if (this.#stop.signal.aborted) return;
      this.#take(event);
    }
  }

  #hasRoom(position: number): boolean {
    // With none under way all before it are done, or were none: the floor rises with the next one
    if (this.#waiting === 0) return true;
    return this.#waiting < this.#limits.waiting && position - this.#progress.floor <= this.#limits.ahead;
  }

  #take(event: StoredEvent): void {
    const { events } = this.#options.target;
    if (!this.#progress.begin(event.position)) return;
    if (events !== undefined && !(events as readonly string[]).includes(event.name)) {
      this.#end(event);
      return;
    }
    this.#waiting += 1;
    const before = this.#chains.get(event.enclave) ?? Promise.resolve();
    const chain = before
      .then(() => this.#deliver(event))
      .then(() => {
        this.#waiting -= 1;
        if (this.#chains.get(event.enclave) === chain) this.#chains.delete(event.enclave);
        this.#changed();
      });
    this.#chains.set(event.enclave, chain);
  }

  async #deliver(event: StoredEvent): Promise<void> {
    const { target, logger, metrics, warnings } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#try(event);
      if (this.#stop.signal.aborted && outcome !== undefined) return;
      metrics.requests.add({ target: target.name, outcome: outcome === undefined ? 'delivered' : 'failed' });
      if (outcome === undefined) {
        warnings.clear('WEBHOOK_DEAD', target.name);
        this.#end(event);
        return;
      }
      const facts = {
        target: target.name,
        event: event.id,
        enclave: event.enclave,
        name: event.name,
        attempt,
        outcome,
      };
      if (attempt >= this.#limits.attempts) {
        logger.error({ code: 'WEBHOOK_DEAD', ...facts }, 'event given up');
        metrics.dead.add({ target: target.name });
        const { name, enclave } = event;
        warnings.raise('WEBHOOK_DEAD', target.name, `${name} of ${enclave} in none of ${attempt} tries: ${outcome}`);
        this.#end(event);
        return;
      }
      logger.warn({ code: 'WEBHOOK_RETRY', ...facts }, 'event not taken');
      await this.#pause(attempt);
      if (this.#stop.signal.aborted) return;
    }
  }

  /** Undefined for an event that was taken, else why not. */
  async #try(event: StoredEvent): Promise<string | undefined> {
    while (this.#running >= this.#limits.concurrency && !this.#stop.signal.aborted) await this.#wake.promise;
    if (this.#stop.signal.aborted) return 'the service ends';
    this.#running += 1;
    try {
      const status = await this.#client.post(event, this.#stop.signal);
      return status >= 200 && status < 300 ? undefined : `HTTP ${status}`;
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      return code === undefined ? message : `${code} ${message}`;
    } finally {
      this.#running -= 1;
      this.#changed();
    }
  }

  async #pause(attempt: number): Promise<void> {
    const longest = Math.min(this.#limits.retryMs * 2 ** (attempt - 1), this.#limits.retryMaxMs);
    const { signal } = this.#stop;
    await sleep(longest * (1 - Math.random() / 2), undefined, { signal }).catch(() => undefined);
  }

  /** Done with it, delivered or not. */
  #end({ position }: StoredEvent): void {
    this.#progress.end(position);
    this.#saving ??= this.#save().finally(() => {
      this.#saving = undefined;
    });
    this.#changed();
  }

  /** One write at a time; what has come meanwhile is in the next. */
  async #save(): Promise<void> {
    const { bus, target } = this.#options;
    while (this.#progress.isUnsaved) await bus.eventStore.putCursor(target.name, this.#progress.save());
  }

  #changed(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}
