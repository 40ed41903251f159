import { type Bus, type EnclaveRecord, hasEnded } from '@enclaver/bus';
import type { Logger } from 'pino';
import { type EnclaveEnd, EnclaveLog } from './enclave-log.ts';
import { limits } from './limits.ts';
import { type StdoutFormat, writeStdout } from './stdout.ts';

/** Follows all enclaves of this host: reads the log of each from its launch to its end. */
export class LogRelay {
  readonly #bus: Bus;
  readonly #logger: Logger;
  readonly #stdout: StdoutFormat;
  readonly #logs = new Map<string, { log: EnclaveLog; done: Promise<void> }>();
  readonly #events: ReturnType<Bus['events']>;
  #stopping = false;

  constructor(bus: Bus, logger: Logger, stdout: StdoutFormat) {
    this.#bus = bus;
    this.#logger = logger;
    this.#stdout = stdout;
    this.#events = bus.events();
  }

  async start(): Promise<void> {
    await this.#events.ready;
    void this.#follow();
    await this.catchUp();
    void this.#bus.onConnectionChange((connected) => {
      if (connected && !this.#stopping) void this.catchUp();
    });
  }

  /** Compares what is read with what the bucket says, after a start and after the bus was away. */
  async catchUp(): Promise<void> {
    for (const record of await this.#bus.enclaves.list()) {
      if (hasEnded(record.state)) this.#logs.get(record.id)?.log.enclaveEnded(record.state);
      else if (record.state !== 'requested') await this.#open(record);
    }
  }

  /** Stops reading, publishes what was read. Enclaves keep what comes meanwhile for the next log-relay. */
  async close(): Promise<void> {
    this.#stopping = true;
    await this.#events.close();
    for (const { log } of this.#logs.values()) log.stop();
    await Promise.all([...this.#logs.values()].map(({ done }) => done));
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
    else if (end === 'failed') await this.#bus.publishEvent(id, 'log-ended', { lines: 0, lost: 0 });
  }

  async #open(record: EnclaveRecord): Promise<void> {
    if (this.#stopping || this.#logs.has(record.id)) return;
    const logger = this.#logger.child({ enclave: record.id });
    if (this.#logs.size >= limits.enclaves) {
      logger.error({ code: 'TOO_MANY_ENCLAVES' }, `the logs of at most ${limits.enclaves} enclaves are read`);
      return;
    }
    const published = await this.#bus.logStore.last(record.id);
    if (this.#stopping || this.#logs.has(record.id)) return;
    const log = new EnclaveLog(
      record,
      published,
      async (stream, batch) => {
        await this.#bus.publishLog(record.id, stream, batch);
        writeStdout(this.#stdout, record, stream, batch);
      },
      logger,
    );
    this.#logs.set(record.id, { log, done: this.#run(record.id, log) });
    logger.info('reading log');
  }

  async #run(id: string, log: EnclaveLog): Promise<void> {
    const totals = await log.run();
    this.#logs.delete(id);
    if (this.#stopping) return;
    await this.#bus.publishEvent(id, 'log-ended', totals);
    this.#logger.info({ enclave: id, ...totals }, 'log ended');
  }
}
