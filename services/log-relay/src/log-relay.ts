import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type Bus, type EnclaveRecord, hasEnded, type LogBatch, type LogKind, streamLines } from '@enclaver/bus';
import type { Logger } from 'pino';
import type { BatchTarget } from './batch-publisher.ts';
import { type EnclaveEnd, EnclaveLog } from './enclave-log.ts';
import { limits } from './limits.ts';
import type { LogMetrics } from './log-metrics.ts';
import { LogShares } from './log-shares.ts';
import { LossWarnings } from './loss-warnings.ts';
import type { LogSinks } from './sinks/log-sinks.ts';

interface PublishedBatch {
  id: string;
  name: string;
  kind: LogKind;
  position: number;
  bytes: number;
}

/** Follows all enclaves of this host: reads the log of each from its launch to its end. */
export class LogRelay {
  readonly #bus: Bus;
  readonly #logger: Logger;
  readonly #sinks: Pick<LogSinks, 'published'>;
  readonly #metrics: LogMetrics;
  readonly #shares: LogShares;
  readonly #losses: LossWarnings;
  readonly #logs = new Map<string, { name: string; log: EnclaveLog; done: Promise<void> }>();
  readonly #events: ReturnType<Bus['events']>;
  #stopping = false;
  /** Position on the bus of the newest message published here. */
  newest = 0;

  constructor(
    bus: Bus,
    logger: Logger,
    { sinks, metrics }: { sinks: Pick<LogSinks, 'published'>; metrics: LogMetrics },
  ) {
    this.#bus = bus;
    this.#logger = logger;
    this.#sinks = sinks;
    this.#metrics = metrics;
    this.#shares = new LogShares(bus.logStore, logger, metrics);
    this.#losses = new LossWarnings(bus.warnings);
    this.#events = bus.events();
  }

  async start(): Promise<void> {
    await this.#events.ready;
    const records = await this.#bus.enclaves.list();
    await this.#shares.start(new Map(records.map(({ id, name }) => [id, name])));
    void this.#follow();
    await this.catchUp();
    void this.#bus.onConnectionChange((connected) => {
      if (connected) void this.#catchUpAgain();
    });
  }

  /** Compares what is read with what the bucket says, after a start and after the bus was away. */
  async catchUp(): Promise<void> {
    const records = await this.#bus.enclaves.list();
    for (const record of records) {
      if (!hasEnded(record.state)) {
        if (record.state !== 'requested') await this.#takeUp(record);
      } else if (this.#logs.has(record.id)) this.#logs.get(record.id)?.log.enclaveEnded(record.state);
      else if (waitsForReader(record, records)) await this.#takeUp(record);
    }
  }

  /** A bus that is back may be away again at once, or there and not answer yet: asked until it does. */
  async #catchUpAgain(): Promise<void> {
    while (!this.#stopping) {
      try {
        return await this.catchUp();
      } catch (error) {
        this.#logger.warn({ err: error }, 'state of the bus not read; it is asked for again');
      }
      await sleep(limits.catchUpAgainMs);
    }
  }

  /** Opens what the bucket says, and looks again: an end that was told before the log was open is not told again. */
  async #takeUp(record: EnclaveRecord): Promise<void> {
    await this.#open(record);
    const now = await this.#bus.enclaves.get(record.id);
    if (now !== undefined && hasEnded(now.state)) this.#logs.get(record.id)?.log.enclaveEnded(now.state);
  }

  /** Stops reading, publishes what was read. Enclaves keep what comes meanwhile for the next log-relay. */
  async close(): Promise<void> {
    this.#stopping = true;
    await this.#events.close();
    for (const { log } of this.#logs.values()) log.stop();
    await Promise.all([...this.#logs.values()].map(({ done }) => done));
    await this.#shares.close();
    this.#losses.close();
  }

  async #follow(): Promise<void> {
    for await (const event of this.#events) {
      if (event.name === 'launching') await this.#open(event.data.enclave);
      else if (event.name === 'exited' || event.name === 'failed' || event.name === 'lost') {
        await this.#ended(event.id, event.name);
      }
    }
  }

  async #ended(id: string, end: EnclaveEnd): Promise<void> {
    const open = this.#logs.get(id);
    if (open !== undefined) open.log.enclaveEnded(end);
    // Never launched: followers of its log shall end, too
    else if (end === 'failed') await this.#bus.publishEventOnce(id, 'log-ended', { lines: 0, lost: 0 });
  }

  async #open(record: EnclaveRecord): Promise<void> {
    if (this.#stopping || this.#logs.has(record.id)) return;
    const logger = this.#logger.child({ enclave: record.id });
    if (this.#logs.size >= limits.enclaves) {
      logger.error({ code: 'TOO_MANY_ENCLAVES' }, `the logs of at most ${limits.enclaves} enclaves are read`);
      return;
    }
    const log = await EnclaveLog.open(record, (kind) => this.#target(record, kind), logger);
    if (this.#stopping || this.#logs.has(record.id)) return;
    this.#logs.set(record.id, { name: record.name, log, done: this.#run(record.id, log) });
    logger.info('reading log');
  }

  #target({ id, name }: EnclaveRecord, kind: LogKind): BatchTarget {
    return {
      last: (known) => this.#bus.logStore.last(id, kind, known),
      publish: async (batch, after) => {
        const message = await this.#bus.publishLog(id, kind, { name, ...batch }, after);
        if (message !== undefined) this.#published({ ...message, id, name, kind }, batch);
        return message;
      },
    };
  }

  #published({ id, name, kind, position, bytes }: PublishedBatch, batch: LogBatch): void {
    this.newest = position;
    this.#metrics.published(name, batch);
    if (batch.lost !== undefined) this.#losses.add({ id, name }, batch.lost);
    const names = new Set([...this.#logs.values()].map((log) => log.name));
    this.#shares.published(name, id, { position, bytes }, names.size);
    const published = new Date().toISOString();
    this.#sinks.published({ ...batch, id, name, position, published, lines: streamLines(kind, batch.lines) }, bytes);
  }

  async #run(id: string, log: EnclaveLog): Promise<void> {
    const totals = await log.run();
    this.#logs.delete(id);
    if (this.#stopping) return;
    await this.#bus.publishEventOnce(id, 'log-ended', totals);
    this.#logger.info({ enclave: id, ...totals }, 'log ended');
  }
}

/** Ended a moment ago: odyn and the supervisor wait for who reads the rest. Its address may be the next one's already. */
function waitsForReader({ id, state, times, vsock }: EnclaveRecord, records: readonly EnclaveRecord[]): boolean {
  const endedMs = Date.now() - Date.parse(times[state] ?? '');
  if (times.launching === undefined || !(endedMs < limits.exitedMs)) return false;
  return !records.some((other) => other.id !== id && !hasEnded(other.state) && isDeepStrictEqual(other.vsock, vsock));
}
