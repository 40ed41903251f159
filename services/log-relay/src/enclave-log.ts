import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EnclaveRecord, LogKind, LogLine } from '@enclaver/bus';
import { transportTo, type VsockStream, type VsockTransport } from '@enclaver/vsock';
import { LOG_PORT, type LogRecord, WireError } from '@enclaver/wire';
import type { Logger } from 'pino';
import { BatchPublisher, type BatchTarget } from './batch-publisher.ts';
import { connectConsole, readConsole } from './console-reader.ts';
import { limits } from './limits.ts';
import { IsoTimes, lineText } from './line-text.ts';
import { type ReadPosition, readRecords } from './record-reader.ts';

export type EnclaveEnd = 'exited' | 'failed' | 'lost';

/** The log of one enclave: records from its log port and lines from its console, published in order until both have ended. */
export class EnclaveLog {
  readonly #record: EnclaveRecord;
  readonly #logger: Logger;
  readonly #transport: VsockTransport;
  readonly #records: BatchPublisher;
  readonly #console: BatchPublisher;
  readonly #position: ReadPosition;
  readonly #times = new IsoTimes();
  /** Ends the waiting for records, and for the console. */
  readonly #recordsOver = new AbortController();
  readonly #consoleOver = new AbortController();
  readonly #ended = new AbortController();
  #endedAt: number | undefined;
  #end: EnclaveEnd | undefined;
  #timer: NodeJS.Timeout | undefined;

  private constructor(record: EnclaveRecord, records: BatchPublisher, console: BatchPublisher, logger: Logger) {
    this.#record = record;
    this.#logger = logger;
    this.#transport = transportTo(record.vsock);
    this.#records = records;
    this.#console = console;
    this.#position = { next: BigInt(records.next) };
  }

  /** Goes on behind what is published. */
  static async open(
    record: EnclaveRecord,
    targetOf: (kind: LogKind) => BatchTarget,
    logger: Logger,
  ): Promise<EnclaveLog> {
    const [records, console] = await Promise.all([
      BatchPublisher.open(targetOf('records')),
      BatchPublisher.open(targetOf('console'), { numbersItself: true }),
    ]);
    return new EnclaveLog(record, records, console, logger);
  }

  /** Reads until the log has ended, and resolves with the totals, of all log-relays that read it, once all is stored. */
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
    await Promise.all([this.#records.drain(), this.#console.drain()]);
    const { next, lost } = this.#records;
    return { lines: next - lost + this.#console.next, lost };
  }

  /** The enclave has ended: what does not come soon will not come. */
  enclaveEnded(end: EnclaveEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#ended.abort();
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

  record({ stream, sequence, timeUs, payload, continues }: LogRecord): Promise<void> | undefined {
    if (stream === 'lost' || stream === 'end') throw new TypeError(`${stream} is no line`);
    const line: LogLine = { sequence: Number(sequence), time: this.#times.of(timeUs), stream, ...lineText(payload) };
    if (continues) line.continues = true;
    return this.#records.push(line);
  }

  lost(sequence: bigint, count: bigint): Promise<void> | undefined {
    return this.#records.pushLost(Number(sequence), Number(count));
  }

  async #readConsole(): Promise<void> {
    if (this.#record.console === undefined) return;
    const noMore = AbortSignal.any([this.#consoleOver.signal, this.#ended.signal]);
    while (!noMore.aborted) {
      const socket = await connectConsole(this.#record.console, noMore);
      if (socket !== undefined) await this.#readConsoleFrom(socket);
      // The machine is gone, or another log-relay reads its console
      await sleep(limits.consoleAgainMs, undefined, { signal: noMore }).catch(() => undefined);
    }
  }

  async #readConsoleFrom(socket: Socket): Promise<void> {
    const over = this.#consoleOver.signal;
    const cut = (): void => void socket.destroy();
    if (over.aborted) cut();
    over.addEventListener('abort', cut, { once: true });
    await readConsole(socket, async ({ bytes, continues }) => {
      await this.#console.push({
        sequence: 0,
        time: new Date().toISOString(),
        ...lineText(bytes),
        ...(continues ? { continues } : {}),
      });
    });
    over.removeEventListener('abort', cut);
  }
}
