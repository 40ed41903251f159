import { type Bus, type EnclaveRecord, hasEnded, toErrorData } from '@enclaver/bus';
import { Relay } from '@enclaver/vsock';
import type { Logger } from 'pino';
import { EnclavePorts } from './enclave-ports.ts';
import { HttpPorts } from './http/http-ports.ts';
import { limits } from './limits.ts';
import { ProxyError } from './proxy-error.ts';

/** Opens the listeners of every enclave when it is requested, before it starts, and closes them after its end. */
export class OuterProxy {
  readonly #bus: Bus;
  readonly #logger: Logger;
  readonly #relay = new Relay();
  readonly #events: ReturnType<Bus['events']>;
  readonly #http: HttpPorts;
  readonly #enclaves = new Map<string, Promise<EnclavePorts | undefined>>();
  #stopping = false;

  constructor(bus: Bus, logger: Logger) {
    this.#bus = bus;
    this.#logger = logger;
    this.#http = new HttpPorts(this.#relay, logger);
    this.#events = bus.events();
  }

  async start(): Promise<void> {
    await this.#events.ready;
    void this.#follow();
    await this.#catchUp();
    void this.#bus.onConnectionChange((connected) => {
      if (!connected || this.#stopping) return;
      // Whatever was missed is then missed until the next time; what is open goes on
      this.#catchUp().catch((error: unknown) => this.#logger.error({ err: error }, 'state of the bus not read'));
    });
  }

  async close(): Promise<void> {
    this.#stopping = true;
    await this.#events.close();
    await Promise.all([...this.#enclaves.keys()].map((id) => this.#shut(id)));
    await this.#relay.close();
  }

  /** Compares what is open with what the bucket says, after a start and after the bus was away. */
  async #catchUp(): Promise<void> {
    for (const record of await this.#bus.enclaves.list()) {
      if (hasEnded(record.state)) await this.#shut(record.id);
      else await this.#open(record);
    }
  }

  async #follow(): Promise<void> {
    for await (const event of this.#events) {
      if (event.name === 'requested') void this.#open(event.data.enclave);
      else if (event.name === 'ready' || event.name === 'unhealthy') this.#http.setState(event.id, event.name);
      else if (event.name === 'exited' || event.name === 'failed' || event.name === 'lost') void this.#shut(event.id);
    }
  }

  async #open(record: EnclaveRecord): Promise<void> {
    if (this.#stopping || this.#enclaves.has(record.id)) return;
    const logger = this.#logger.child({ enclave: record.id });
    const opening = this.#openPorts(record, logger);
    this.#enclaves.set(record.id, opening);
    if ((await opening) === undefined) this.#enclaves.delete(record.id);
  }

  async #openPorts(record: EnclaveRecord, logger: Logger): Promise<EnclavePorts | undefined> {
    try {
      if (this.#enclaves.size >= limits.enclaves) {
        throw new ProxyError('TOO_MANY_ENCLAVES', `the outer-proxy serves at most ${limits.enclaves} enclaves`);
      }
      const ports = await EnclavePorts.open(this.#relay, this.#http, record, logger);
      logger.info({ ingress: ports.ingress, egress: record.egress }, 'listeners are open');
      await this.#bus.publishEvent(record.id, 'egress-ready', { ingress: ports.ingress });
      return ports;
    } catch (error) {
      logger.error({ err: error }, 'listeners could not be opened');
      await this.#bus.publishEvent(record.id, 'proxy-failed', { error: toErrorData(error) });
      return undefined;
    }
  }

  async #shut(id: string): Promise<void> {
    const ports = await this.#enclaves.get(id);
    if (ports === undefined) return;
    this.#enclaves.delete(id);
    await ports.close();
    this.#logger.info({ enclave: id, ...ports.stats() }, 'listeners are closed');
  }
}
