import { type Bus, BusError, type EnclaveEvent, exitCodeOf, type PlannedRestart } from '@enclaver/bus';
import { showText } from '@enclaver/eif';
import { exitCodes } from './exit-codes.ts';
import { limits } from './limits.ts';
import { describeEvent } from './output/events.ts';
import { formatFailure } from './output/failure.ts';
import { appStreams, LogPrinter } from './output/logs.ts';

/** Shows the lifecycle of an enclave on stderr and what its app writes, and goes on with the one that a restart or an update puts in its place. */
export class Follower {
  readonly #bus: Bus;
  readonly #events: ReturnType<Bus['events']>;
  readonly #debug: boolean;
  #id: string;
  #printer: LogPrinter;
  #printed: Promise<void>;
  #next: PlannedRestart | undefined;
  #exitCode: number | undefined;

  /** `events` are open since before the enclave was asked for, so that none is missed. */
  constructor(bus: Bus, events: ReturnType<Bus['events']>, id: string, options: { debug: boolean }) {
    this.#bus = bus;
    this.#events = events;
    this.#debug = options.debug;
    this.#id = id;
    [this.#printer, this.#printed] = this.#print(id);
  }

  /** The enclave that runs now, or is to be started again. */
  get id(): string {
    return this.#id;
  }

  /** Until the last one has ended and its last line is printed; the exit code of that one. */
  async follow(): Promise<number> {
    let timer: NodeJS.Timeout | undefined;
    try {
      for await (const event of this.#events) {
        const restarted = event.name === 'requested' && event.id === this.#next?.id;
        const updated = event.name === 'handed-over' && event.data.from === this.#id;
        if (restarted || updated) await this.#turnTo(event.id);
        if (event.id !== this.#id) continue;
        if (event.name === 'log-ended') await this.#printer.finish();
        else this.#tell(event);
        if (this.#exitCode === undefined || this.#next !== undefined) continue;
        if (this.#printer.ended) break;
        timer ??= setTimeout(() => void this.#events.close(), limits.logEndMs);
      }
    } finally {
      clearTimeout(timer);
      await this.#closePrinter();
    }
    return this.#exitCode ?? exitCodes.failure;
  }

  #tell(event: EnclaveEvent): void {
    process.stderr.write(`${describeEvent(event)}\n`);
    if (event.name === 'restart-cancelled') this.#next = undefined;
    if (event.name !== 'exited' && event.name !== 'failed' && event.name !== 'lost') return;
    const { result, restart } = event.data;
    this.#exitCode = exitCodeOf(result);
    this.#next = restart;
    if (result.kind === 'failed' || result.kind === 'lost')
      process.stderr.write(formatFailure(new BusError(result.error)));
    if (event.name === 'failed')
      for (const line of event.data.console) process.stderr.write(`console: ${showText(line)}\n`);
  }

  async #turnTo(id: string): Promise<void> {
    await this.#closePrinter();
    this.#id = id;
    this.#next = undefined;
    this.#exitCode = undefined;
    [this.#printer, this.#printed] = this.#print(id);
  }

  #print(id: string): [LogPrinter, Promise<void>] {
    const printer = new LogPrinter(this.#bus, { id, follow: true, ...(this.#debug ? {} : { streams: appStreams }) });
    return [printer, printer.follow()];
  }

  async #closePrinter(): Promise<void> {
    await this.#printer.close();
    await this.#printed;
  }
}
