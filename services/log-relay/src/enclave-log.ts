import { setTimeout as sleep } from 'node:timers/promises';
import type { EnclaveRecord, LogMessage } from '@enclaver/bus';
import { transportTo, type VsockStream, type VsockTransport } from '@enclaver/vsock';
import { LOG_PORT, type LogRecord, WireError } from '@enclaver/wire';
import type { Logger } from 'pino';
import { BatchPublisher, type Publish } from './batch-publisher.ts';
import { connectConsole, readConsole } from './console-reader.ts';
import { limits } from './limits.ts';
import { isoTime, lineText } from './line-text.ts';
import { type ReadPosition, readRecords } from './record-reader.ts';

export type EnclaveEnd = 'exited' | 'failed' | 'lost';

/** The log of one enclave: records from its log port and lines from its console, published in order until both have ended. */
export class EnclaveLog {
  readonly #record: EnclaveRecord;
  readonly #logger: Logger;
  readonly #transport: VsockTransport;
  readonly #publisher: BatchPublisher;
  readonly #position: ReadPosition;
  #consoleNext: number;
  /** Ends the waiting for records, and for the console. */
  readonly #recordsOver = new AbortController();
  readonly #consoleOver = new AbortController();
  #endedAt: number | undefined;
  #end: EnclaveEnd | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `published` is the newest batch of each stream that an earlier log-relay published. */
  constructor(record: EnclaveRecord, published: readonly LogMessage[], publish: Publish, logger: Logger) {
    this.#record = record;
    this.#logger = logger;
    this.#transport = transportTo(record.vsock);
    this.#publisher = new BatchPublisher(publish);
    const after = (batches: readonly LogMessage[]) =>
      Math.max(0, ...batches.map((batch) => (batch.lines.at(-1)?.sequence ?? -1) + 1));
    this.#position = { next: BigInt(after(published.filter(({ stream }) => stream !== 'console'))) };
    this.#consoleNext = after(published.filter(({ stream }) => stream === 'console'));
  }

  /** Reads until the log has ended, and resolves with the totals once all is stored. */
  async run(): Promise<{ lines: number; lost: number }> {
    const console = this.#readConsole();
    await this.#readRecords();
    clearTimeout(this.#timer);
    if (this.#end === 'failed' || this.#end === 'lost') {
      // The machine is gone: its console ends by itself, and its last lines say why
      await Promise.race([console, sleep(this.#leftMs(limits.brokenMs))]);
    }
    this.#consoleOver.abort();
    await console;
    await this.#publisher.drain();
    return { lines: this.#publisher.lines, lost: this.#publisher.lost };
  }

  /** The enclave has ended: what does not come soon will not come. */
  enclaveEnded(end: EnclaveEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#endedAt = performance.now();
    const waitMs = end === 'exited' ? limits.exitedMs : limits.brokenMs;
    this.#timer = setTimeout(() => this.#recordsOver.abort(), waitMs);
  }

  /** Stops reading: this process ends, the enclave does not. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#recordsOver.abort();
    this.#consoleOver.abort();
  }

  async #readRecords(): Promise<void> {
    const over = this.#recordsOver.signal;
    while (!over.aborted && this.#mayConnect()) {
      const stream = await this.#connect();
      if (stream === undefined) {
        await sleep(limits.retryMs);
        continue;
      }
      const cut = (): void => void stream.destroy();
      over.addEventListener('abort', cut, { once: true });
      try {
        if (await readRecords(stream, this.#position, this)) return;
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        // Its next connection would say the same: such an enclave has no log any more
        this.#logger.error({ code: error.code, err: error }, 'the enclave breaks the log protocol');
        return;
      } finally {
        over.removeEventListener('abort', cut);
      }
    }
  }

  /** Whether a new connection makes sense: not to a machine that is gone, nor long after the app has ended. */
  #mayConnect(): boolean {
    return this.#end === undefined || (this.#end === 'exited' && this.#leftMs(limits.brokenMs) > 0);
  }

  #leftMs(waitMs: number): number {
    return this.#endedAt === undefined ? waitMs : Math.max(0, this.#endedAt + waitMs - performance.now());
  }

  async #connect(): Promise<VsockStream | undefined> {
    try {
      return await this.#transport.connect(LOG_PORT, {
        timeoutMs: limits.connectMs,
        signal: this.#recordsOver.signal,
      });
    } catch (error) {
      this.#logger.trace({ err: error }, 'log port does not answer');
      return undefined;
    }
  }

  record(record: LogRecord): Promise<void> {
    if (record.stream === 'lost' || record.stream === 'end') throw new TypeError(`${record.stream} is no line`);
    return this.#publisher.push(record.stream, {
      sequence: Number(record.sequence),
      time: isoTime(record.timeUs),
      ...lineText(record.payload),
      ...(record.continues ? { continues: true } : {}),
    });
  }

  lost(count: bigint): Promise<void> {
    return this.#publisher.push('lost', Number(count));
  }

  async #readConsole(): Promise<void> {
    if (this.#record.console === undefined) return;
    const over = this.#consoleOver.signal;
    const socket = await connectConsole(this.#record.console, over);
    if (socket === undefined) return;
    if (over.aborted) socket.destroy();
    over.addEventListener('abort', () => socket.destroy(), { once: true });
    await readConsole(socket, async ({ bytes, continues }) => {
      const sequence = this.#consoleNext;
      this.#consoleNext += 1;
      await this.#publisher.push('console', {
        sequence,
        time: new Date().toISOString(),
        ...lineText(bytes),
        ...(continues ? { continues } : {}),
      });
    });
  }
}
