import type { EnclaveRecord, PublishedPort } from '@enclaver/bus';
import { type Relay, type RelayGroup, transportTo } from '@enclaver/vsock';
import type { Logger } from 'pino';
import type { AccessLog } from './access-log.ts';
import { Egress, type EgressEnd } from './egress.ts';
import type { HttpPorts } from './http/http-ports.ts';
import { Share } from './http/share.ts';
import { type Destination, type Ingress, type Opening, openIngress } from './ingress.ts';
import { groupLimits, limits } from './limits.ts';
import type { Lookups } from './lookups.ts';
import type { ProxyCounts } from './metrics.ts';
import type { ParentPolicy } from './parent-policy.ts';

/** The listening sockets of an enclave in another outer-proxy: one for egress if it has that, and one for each published port. */
export interface Inherited {
  readonly egress?: number | undefined;
  readonly ingress: readonly number[];
}

export interface PortTools {
  relay: Relay;
  http: HttpPorts;
  lookups: Lookups;
  logger: Logger;
  policy?: ParentPolicy | undefined;
  accessLog?: AccessLog | undefined;
}

/** All listeners of one enclave: one for each published port, HTTP ones shared with others, and the egress dialler if its manifest has egress. */
export class EnclavePorts implements Destination {
  record: EnclaveRecord;
  readonly transport: Destination['transport'];
  readonly group: RelayGroup;
  readonly share: Share;
  readonly onConnectionEnd: Destination['onConnectionEnd'];
  readonly #tools: PortTools;
  #ingress: Ingress[] = [];
  #egress: Egress | undefined;

  private constructor(record: EnclaveRecord, tools: PortTools) {
    this.record = record;
    this.transport = transportTo(record.vsock);
    this.group = tools.relay.group(groupLimits(record.limits));
    this.share = new Share(this.group, record.limits?.ingressBytesPerSecond);
    this.#tools = tools;
    const { accessLog } = tools;
    if (accessLog !== undefined) {
      this.onConnectionEnd = (published, { reason, ...end }) => {
        accessLog.write({ ...this.#line('ingress'), target: `port ${published.listenPort}`, ...end, end: reason });
      };
    }
  }

  /**
   * Opens all or none. Egress comes first and at once, before this gives way to anything else: enclaves that are opened in one
   * go share a vsock socket, and none of them may be dialled by before all are known. Errors: those of `openIngress` and `HttpPorts.open`.
   */
  static async open(record: EnclaveRecord, tools: PortTools, inherited?: Inherited): Promise<EnclavePorts> {
    const { relay, accessLog } = tools;
    const ports = new EnclavePorts(record, tools);
    const onEnd = accessLog && ((end: EgressEnd) => accessLog.write({ ...ports.#line('egress'), ...end }));
    try {
      const { egress: descriptor } = inherited ?? {};
      if (record.egress)
        ports.#egress = await Egress.open(relay, ports, { ...tools, limits: record.limits, onEnd, descriptor });
      // What a restart of an enclave publishes was its predecessor's
      const held = record.state !== 'requested' || record.previous !== undefined;
      for (const [index, published] of record.ingress.entries()) {
        ports.#ingress.push(await ports.#open(published, { held, descriptor: inherited?.ingress[index] }));
      }
    } catch (error) {
      await ports.close({ drainMs: 0, shared: inherited !== undefined });
      throw error;
    }
    return ports;
  }

  #open(asked: PublishedPort, opening: Opening): Promise<Ingress> {
    const { relay, http } = this.#tools;
    return asked.protocol === 'http' ? http.open(this, asked, opening) : openIngress(relay, this, asked, opening);
  }

  /** The addresses that are listened on, free ports filled in. */
  get ingress(): PublishedPort[] {
    return this.#ingress.map(({ published }) => published);
  }

  /** In the order of `Inherited`. */
  get descriptors(): number[] {
    return [...(this.#egress ? [this.#egress.descriptor] : []), ...this.#ingress.map(({ descriptor }) => descriptor)];
  }

  /** Connections that are open, both ways. */
  get active(): number {
    return this.activeIngress + (this.#egress?.stats.active ?? 0);
  }

  get activeIngress(): number {
    return this.group.stats().active;
  }

  /** For those who count: sums, and what is open. */
  counts(): ProxyCounts {
    const group = this.group.stats();
    const { accepted = 0, refused = 0, rateLimited = 0, failed = 0, active = 0 } = this.#egress?.stats ?? {};
    return {
      ingress: {
        open: group.active,
        accepted: group.accepted,
        refused: group.refused,
        rateLimited: group.rateLimited,
        unreachable: group.failedConnects,
        bytesIn: group.bytesIn,
        bytesOut: group.bytesOut,
      },
      egress: {
        open: active,
        accepted,
        refused,
        rateLimited,
        unreachable: failed,
        bytesIn: group.egressBytesIn,
        bytesOut: group.egressBytesOut,
      },
      acceptErrors: this.#ingress.reduce(
        (sum, { acceptErrors }) => sum + acceptErrors,
        this.#egress?.acceptErrors ?? 0,
      ),
      relaySeconds: group.busySeconds,
    };
  }

  #line<D extends 'ingress' | 'egress'>(direction: D) {
    return { enclave: this.record.id, name: this.record.name, direction, peer: 'enclave' };
  }

  stats(): object {
    return {
      ingress: this.#ingress.map((ingress) => ({ ...ingress.published, ...ingress.stats() })),
      egress: this.#egress?.stats,
      ...this.group.stats(),
    };
  }

  /**
   * Has each of these ports lead here: a listener of `from` is retargeted, in one turn, and is this enclave's from then on; one
   * that neither has is opened. Errors: those of `openIngress`, and then nothing has changed.
   */
  async takeOver(from: EnclavePorts | undefined, ingress: readonly PublishedPort[]): Promise<void> {
    const theirs = from === undefined ? [] : from.#ingress;
    const missing = ingress.filter((asked) => !isAt(asked, this.#ingress) && !isAt(asked, theirs));
    const opened: Ingress[] = [];
    const opening: Opening = { held: true };
    try {
      for (const asked of missing) opened.push(await this.#open(asked, opening));
    } catch (error) {
      await Promise.all(opened.map((each) => each.close({ drainMs: 0, shared: false })));
      throw error;
    }
    const moved = theirs.filter(({ published }) => ingress.some((asked) => samePlace(asked, published)));
    await Promise.all(moved.map((each) => each.retarget(this)));
    if (from !== undefined) from.#ingress = theirs.filter((each) => !moved.includes(each));
    this.#ingress.push(...moved, ...opened);
  }

  async close({
    drainMs = limits.drainMs,
    shared = false,
  }: {
    drainMs?: number;
    shared?: boolean;
  } = {}): Promise<void> {
    const options = { drainMs, shared };
    await Promise.all([...this.#ingress.map((each) => each.close(options)), this.#egress?.close(options)]);
  }
}

function isAt(asked: PublishedPort, open: readonly Ingress[]): boolean {
  return open.some(({ published }) => samePlace(asked, published));
}

/** Whether both are the same listener; where it leads is another matter. */
function samePlace(a: PublishedPort, b: PublishedPort): boolean {
  if (a.path !== undefined || b.path !== undefined) return a.path === b.path;
  const route = ({ route: { host, path } = {} }: PublishedPort): string => `${host} ${path}`;
  return a.host === b.host && a.port === b.port && route(a) === route(b);
}
