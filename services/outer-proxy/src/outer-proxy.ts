import { setTimeout as sleep } from 'node:timers/promises';
import { type Bus, type EnclaveEventData, type EnclaveRecord, hasEnded, toErrorData } from '@enclaver/bus';
import { type Metrics, traced } from '@enclaver/telemetry';
import { Relay } from '@enclaver/vsock';
import type { Logger } from 'pino';
import type { AccessLog } from './access-log.ts';
import { EnclavePorts, type Inherited, type PortTools } from './enclave-ports.ts';
import { httpMetrics } from './http/http-metrics.ts';
import { HttpPorts } from './http/http-ports.ts';
import type { OnRequestEnd } from './http/request-entry.ts';
import { requestLog } from './http/request-log.ts';
import type { TrustedProxies } from './http/trusted-proxies.ts';
import { limits } from './limits.ts';
import { Lookups } from './lookups.ts';
import type { ParentPolicy } from './parent-policy.ts';
import { Peers, type SharedPorts } from './peers.ts';
import { PortWatch } from './port-watch.ts';
import { ProxyError } from './proxy-error.ts';

export interface OuterProxyOptions {
  metrics: Metrics;
  /** Socket by which the outer-proxies of this host share their listeners; without it this one is alone. */
  peerPath?: string | undefined;
  /** What open connections get at the end of this process. */
  drainMs: number;
  /** What the parent lets enclaves reach; by default all. */
  policy?: ParentPolicy | undefined;
  accessLog?: AccessLog | undefined;
  /** Load balancers in front of HTTP mode. */
  trustedProxies?: TrustedProxies | undefined;
}

/**
 * Opens the listeners of every enclave when it is requested, before it starts, and closes them after its end. Several of one host
 * share them (`Peers`).
 */
export class OuterProxy {
  readonly #bus: Bus;
  readonly #logger: Logger;
  readonly #options: OuterProxyOptions;
  readonly #relay = new Relay();
  readonly #http: HttpPorts;
  readonly #lookups = new Lookups();
  readonly #events: ReturnType<Bus['events']>;
  readonly #enclaves = new Map<string, Promise<EnclavePorts | undefined>>();
  readonly #watch: PortWatch;
  #peers: Peers | undefined;
  readonly #stop = new AbortController();

  constructor(bus: Bus, logger: Logger, options: OuterProxyOptions) {
    this.#bus = bus;
    this.#logger = logger;
    this.#options = options;
    this.#watch = new PortWatch(bus, options.metrics);
    const onEnd = [httpMetrics(options.metrics), ...(options.accessLog ? [requestLog(options.accessLog)] : [])];
    const onRequestEnd: OnRequestEnd = (entry) => {
      for (const tell of onEnd) tell(entry);
    };
    this.#http = new HttpPorts(this.#relay, logger, { onRequestEnd, trusted: options.trustedProxies });
    this.#events = bus.events();
  }

  async start(): Promise<void> {
    await this.#events.ready;
    this.#peers = await Peers.join({
      path: this.#options.peerPath,
      logger: this.#logger,
      ports: () => [...this.#enclaves.values()].map(async (opening) => sharedPorts(await opening)),
      onPorts: async (ports) => {
        await Promise.all(ports.map((each) => this.#inherit(each)));
      },
      onLead: () => this.#catchUpSoon(),
    });
    void this.#follow();
    await this.#catchUp();
    void this.#bus.onConnectionChange((connected) => {
      if (connected) this.#catchUpSoon();
    });
  }

  /** Gives what is open to the other outer-proxies of this host; without one it serves on while connections last. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#events.close();
    const { drainMs } = this.#options;
    const until = performance.now() + drainMs;
    const isShared = () => this.#peers?.isShared === true;
    while (!isShared() && (await this.#active()) > 0 && performance.now() < until) await sleep(limits.drainLookMs);
    const shared = isShared();
    this.#peers?.close();
    const left = Math.max(until - performance.now(), shared ? 0 : limits.drainMs);
    await Promise.all([...this.#enclaves.keys()].map((id) => this.#shut(id, { drainMs: Math.round(left), shared })));
    this.#watch.close();
    await this.#relay.close();
    this.#options.accessLog?.close();
  }

  get #stopping(): boolean {
    return this.#stop.signal.aborted;
  }

  async #active(): Promise<number> {
    const open = await Promise.all(this.#enclaves.values());
    return open.reduce((sum, ports) => sum + (ports?.active ?? 0), 0);
  }

  #catchUpSoon(): void {
    if (this.#stopping) return;
    // Whatever was missed is then missed until the next time; what is open goes on
    this.#catchUp().catch((error: unknown) => this.#logger.error({ err: error }, 'state of the bus not read'));
  }

  /** Compares what is open with what the bucket says, after a start and after the bus was away. */
  async #catchUp(): Promise<void> {
    const records = await this.#bus.enclaves.list();
    const living = records.filter(({ state }) => !hasEnded(state));
    for (const { id, state } of records) if (hasEnded(state)) await this.#shut(id);
    // An update moves the ports with one write: from then on the replaced enclave has none, whatever its record says
    const moved = new Set(living.flatMap(({ replaces, takesOver }) => (takesOver === undefined ? replaces : [])));
    await Promise.all(living.map((each) => this.#open(moved.has(each.id) ? { ...each, ingress: [] } : each)));
  }

  async #follow(): Promise<void> {
    for await (const event of this.#events) {
      if (event.name === 'requested') {
        const { enclave } = event.data;
        void traced('open listeners', { kind: 'consumer', parent: event.traceparent }, () => this.#open(enclave));
      } else if (event.name === 'ready' || event.name === 'unhealthy') void this.#note(event.id, event.name);
      else if (event.name === 'handover') void this.#handOver(event.data);
      else if (event.name === 'exited' || event.name === 'failed' || event.name === 'lost') void this.#shut(event.id);
    }
  }

  /** For those who share the listeners, and for HTTP mode, which asks nothing of an enclave that is not ready. */
  async #note(id: string, state: 'ready' | 'unhealthy'): Promise<void> {
    this.#http.setState(id, state);
    const ports = await this.#enclaves.get(id);
    if (ports !== undefined) ports.record = { ...ports.record, state };
  }

  /** What the bus asks for is opened by the outer-proxy that leads. */
  async #open(record: EnclaveRecord): Promise<void> {
    if (this.#peers?.leads !== true) return;
    const ports = await this.#keep(record);
    if (ports === undefined) return;
    // The others first: whoever hears the answer may count on all of them
    this.#peers.tell(sharedPorts(ports) as SharedPorts);
    await this.#bus.publishEvent(record.id, 'egress-ready', { ingress: ports.ingress });
  }

  async #inherit({ record, descriptors }: SharedPorts): Promise<void> {
    const [egress, ingress] = record.egress ? [descriptors[0], descriptors.slice(1)] : [undefined, descriptors];
    await this.#keep(record, { egress, ingress });
  }

  /** Undefined where it is open already, or could not be opened. */
  async #keep(record: EnclaveRecord, inherited?: Inherited): Promise<EnclavePorts | undefined> {
    if (this.#stopping || this.#enclaves.has(record.id)) return undefined;
    const opening = this.#openPorts(record, this.#logger.child({ enclave: record.id }), inherited);
    this.#enclaves.set(record.id, opening);
    const ports = await opening;
    if (ports === undefined) this.#enclaves.delete(record.id);
    return ports;
  }

  async #openPorts(record: EnclaveRecord, logger: Logger, inherited?: Inherited): Promise<EnclavePorts | undefined> {
    try {
      if (this.#enclaves.size >= limits.enclaves) {
        throw new ProxyError('TOO_MANY_ENCLAVES', `the outer-proxy serves at most ${limits.enclaves} enclaves`);
      }
      const ports = await EnclavePorts.open(record, this.#tools(logger), inherited);
      this.#watch.opened(ports);
      logger.info({ ingress: ports.ingress, egress: record.egress }, 'listeners are open');
      return ports;
    } catch (error) {
      logger.error({ err: error }, 'listeners could not be opened');
      if (inherited === undefined) {
        await this.#bus.publishEvent(record.id, 'proxy-failed', { error: toErrorData(error) });
      }
      return undefined;
    }
  }

  #tools(logger: Logger): PortTools {
    const { policy, accessLog } = this.#options;
    return { relay: this.#relay, http: this.#http, lookups: this.#lookups, logger, policy, accessLog };
  }

  /** Each outer-proxy does it for itself; the one that leads answers for all. */
  async #handOver({ from, to, ingress }: EnclaveEventData<'handover'>): Promise<void> {
    const logger = this.#logger.child({ enclave: to, from });
    const [old, ports] = await Promise.all([this.#enclaves.get(from), this.#enclaves.get(to)]);
    const leads = this.#peers?.leads === true;
    try {
      if (ports === undefined) throw new ProxyError('HANDOVER_UNKNOWN', `the outer-proxy does not know enclave ${to}`);
      await ports.takeOver(old, ingress);
      logger.info({ ingress: ports.ingress }, 'ports have been handed over');
      // One that does not say so must not keep the update from going on
      await this.#peers?.agree(`handed-over ${to}`, AbortSignal.timeout(limits.peerMs));
      if (leads) await this.#bus.publishEvent(to, 'handed-over', { from, to, ingress: ports.ingress });
    } catch (error) {
      logger.error({ err: error }, 'ports could not be handed over');
      if (leads) await this.#bus.publishEvent(to, 'handover-failed', { from, to, error: toErrorData(error) });
      return;
    }
    while (this.#enclaves.has(from) && !this.#stopping && (old?.activeIngress ?? 0) > 0) {
      await sleep(limits.drainLookMs);
    }
    await this.#peers?.agree(`drained ${to}`, this.#stop.signal);
    if (leads && !this.#stopping) await this.#bus.publishEvent(to, 'drained', { from, to });
  }

  async #shut(id: string, options?: { drainMs: number; shared: boolean }): Promise<void> {
    const ports = await this.#enclaves.get(id);
    if (ports === undefined) return;
    this.#enclaves.delete(id);
    await ports.close(options);
    this.#watch.closed(ports);
    this.#logger.info({ enclave: id, ...ports.stats() }, 'listeners are closed');
  }
}

function sharedPorts(ports: EnclavePorts | undefined): SharedPorts | undefined {
  if (ports === undefined) return undefined;
  // What an update was to publish is open by now, and would go twice
  const { update: _, ...record } = ports.record;
  return { record: { ...record, ingress: ports.ingress }, descriptors: ports.descriptors };
}
