import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Bus,
  BusError,
  decodeLog,
  type LogCursor,
  LogGaps,
  type LogMessage,
  type LogStore,
  logEntries,
  lostEntry,
} from '@enclaver/bus';
import type { Logger } from 'pino';
import { limits } from '../limits.ts';
import type { LogMetrics } from '../log-metrics.ts';
import { Doorbell } from './doorbell.ts';
import type { RecentLog } from './recent-log.ts';
import { type EntryGroup, type Sink, SinkError } from './sink.ts';
import { leadSink } from './sink-lead.ts';
import type { SinkSpec } from './sink-spec.ts';

type LogEnd = Awaited<ReturnType<LogStore['end']>>;

/** What all sinks of a process share. */
export interface SinkSurroundings {
  logger: Logger;
  metrics: LogMetrics;
  recent: RecentLog;
  /** Told when a sink fails, and when it works again. */
  onChange: () => void;
}

/**
 * Brings the log from the bus to one sink, at the sink's own pace: nobody waits for it, and it holds one answer of the bus in
 * memory. How far it has come is kept on the bus, at most a second late, so that the next log-relay goes on there. What the
 * bus has dropped before the sink took it is counted and told to the sink as `lost`.
 */
export class SinkRunner {
  /** Why the sink takes nothing now; undefined while it works. */
  failure: string | undefined;
  /** Whether this log-relay serves it, and not another one. */
  isLead = false;
  readonly #bus: Bus;
  readonly #spec: SinkSpec;
  readonly #sink: Sink;
  readonly #logger: Logger;
  readonly #metrics: LogMetrics;
  readonly #recent: RecentLog;
  readonly #onChange: () => void;
  readonly #news = new Doorbell();
  readonly #stop = new AbortController();
  /** Aborted with the wish to end: who waits to serve the sink need not wait on. */
  readonly #closing = new AbortController();
  #gaps = new LogGaps();
  /** What the sink has, and what of that the bus knows. */
  #cursor: LogCursor = { created: '', position: 0, places: {} };
  #stored = { position: -1, at: 0 };
  #moved = false;
  #done: Promise<void> | undefined;

  constructor(bus: Bus, spec: SinkSpec, sink: Sink, { logger, metrics, recent, onChange }: SinkSurroundings) {
    this.#bus = bus;
    this.#spec = spec;
    this.#sink = sink;
    this.#logger = logger.child({ sink: spec.label });
    this.#metrics = metrics;
    this.#recent = recent;
    this.#onChange = onChange;
  }

  /** Last message that the sink has. */
  get position(): number {
    return this.#cursor.position;
  }

  /** A new sink begins with what is published from now on. `end` is that of the log now. */
  async start(end: LogEnd): Promise<void> {
    // At once: a log-relay that dies before the first line shall not make the sink a new one again
    if ((await this.#bus.logStore.cursor(this.#spec.key)) === undefined) {
      this.#cursor = { created: end.created, position: end.position, places: {} };
      await this.#store();
    }
    this.#done = this.#run(end);
  }

  /** Something may be there. */
  wake(): void {
    this.#news.ring();
  }

  /** Its files may have been moved: it opens them again before it writes on. */
  reopen(): void {
    this.#moved = true;
    this.#news.ring();
  }

  /** Ends with what is on the bus now, or where it is after a few seconds: the next log-relay goes on there. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#news.ring();
    const timer = setTimeout(() => this.#stop.abort(), limits.sinkDrainMs);
    await this.#done;
    clearTimeout(timer);
    await this.#sink.close();
  }

  /** Serves the sink whenever no other log-relay does. */
  async #run(end: LogEnd): Promise<void> {
    for (;;) {
      const lead = await leadSink(this.#bus, this.#spec.key, this.#logger, this.#closing.signal);
      if (lead === undefined) return;
      await this.#begin(end);
      this.isLead = true;
      await this.#serve(lead.lost);
      this.isLead = false;
      if (!lead.lost.aborted) {
        await lead.release();
        return;
      }
      // Whether it takes lines is the other one's to say
      if (this.failure !== undefined) {
        this.failure = undefined;
        this.#onChange();
      }
      await this.#sink.abandon?.();
    }
  }

  /** Finds where the log-relay ended that served the sink before. */
  async #begin({ created, position }: LogEnd): Promise<void> {
    const known = await this.#bus.logStore.cursor(this.#spec.key);
    const isNew = known === undefined;
    this.#cursor = known?.created === created ? known : { created, position: isNew ? position : 0, places: {} };
    this.#gaps = new LogGaps(this.#cursor.places);
    this.#stored = { position: this.position, at: performance.now() };
  }

  async #serve(lost: AbortSignal): Promise<void> {
    const over = AbortSignal.any([this.#stop.signal, lost]);
    while (!over.aborted) {
      if (this.#moved) await this.#sink.reopen?.();
      this.#moved = false;
      const { messages, position } = await this.#next();
      if (position > this.#cursor.position) await this.#deliver(messages, position, over);
      // How far it has come is the other one's to say, too
      if (lost.aborted) return;
      const isDirty = this.#cursor.position !== this.#stored.position;
      const dueMs = this.#stored.at + limits.sinkStoreMs - performance.now();
      if (isDirty && dueMs <= 0) await this.#store();
      else if (messages.length === 0 && this.#closing.signal.aborted) break;
      else if (messages.length === 0) await this.#news.wait(isDirty ? dueMs : limits.sinkPollMs);
    }
    if (!lost.aborted) await this.#store();
  }

  /** The next messages, and how far they reach: one that is none is left out. */
  async #next(): Promise<{ messages: LogMessage[]; position: number }> {
    const recent = this.#recent.after(this.#cursor.position);
    const newest = recent.at(-1);
    if (newest !== undefined) return { messages: recent, position: newest.position };
    try {
      const stored = await this.#bus.logStore.after(this.#cursor.position);
      const messages = stored.map(({ subject, seq, data }) => this.#decode(subject, seq, data));
      return {
        messages: messages.filter((message) => message !== undefined),
        position: stored.at(-1)?.seq ?? 0,
      };
    } catch (error) {
      // The bus is away: it is asked again after a while, as when there is nothing
      this.#logger.debug({ err: error }, 'the bus does not answer');
      return { messages: [], position: 0 };
    }
  }

  #decode(subject: string, position: number, data: Uint8Array): LogMessage | undefined {
    try {
      return decodeLog(subject, position, data);
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      this.#logger.error({ code: error.code, err: error, position }, 'a message of the log is none');
      return undefined;
    }
  }

  async #deliver(messages: readonly LogMessage[], position: number, over: AbortSignal): Promise<void> {
    const groups: EntryGroup[] = [];
    let before = this.#cursor.position;
    for (const message of messages) {
      const lost = this.#gaps.take(message, message.position !== before + 1);
      before = message.position;
      if (lost > 0) this.#metrics.sinkLost(this.#spec.label, message.name ?? message.id, lost);
      const entries = logEntries(message);
      groups.push({ position: before, entries: lost > 0 ? [lostEntry(message, lost), ...entries] : entries });
    }
    if (groups.length > 0 && !(await this.#write(groups, over))) return;
    this.#cursor = { ...this.#cursor, position, places: this.#gaps.places };
  }

  /** Gives the entries to the sink until it has them; false when that was over before. */
  async #write(groups: readonly EntryGroup[], over: AbortSignal): Promise<boolean> {
    for (let attempt = 0; !over.aborted; attempt += 1) {
      try {
        const refused = await this.#sink.write(groups, over);
        this.#metrics.sinkTook(this.#spec.label, groups, refused);
        if (refused > 0) this.#logger.error({ code: 'LOG_SINK_REFUSED', refused }, 'the sink refuses lines for good');
        this.#tell(undefined);
        return true;
      } catch (error) {
        if (!(error instanceof SinkError)) throw error;
        if (over.aborted) break;
        this.#tell(error);
        const pauseMs = Math.min(limits.sinkRetryMaxMs, limits.sinkRetryMs * 2 ** attempt);
        await sleep(pauseMs * (0.5 + Math.random() / 2), undefined, { signal: over }).catch(() => undefined);
      }
    }
    return false;
  }

  #tell(error: SinkError | undefined): void {
    if (this.failure === error?.message) return;
    this.failure = error?.message;
    if (error === undefined) this.#logger.info('the sink takes lines again');
    else this.#logger.error({ code: 'LOG_SINK_FAILED', err: error }, 'the sink takes no lines; it is tried again');
    this.#onChange();
  }

  async #store(): Promise<void> {
    const { position } = this.#cursor;
    try {
      if (position !== this.#stored.position) {
        await this.#sink.sync?.();
        await this.#bus.logStore.putCursor(this.#spec.key, this.#cursor);
      }
      this.#stored = { position, at: performance.now() };
    } catch (error) {
      // Nothing is lost: after a restart some lines are given again
      this.#logger.warn({ err: error }, 'how far the sink has come is not stored yet');
      this.#stored = { ...this.#stored, at: performance.now() };
    }
  }
}
