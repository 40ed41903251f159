import { SocketAddress } from 'node:net';
import { addon, type GroupHandle, type RelayHandle, type RouteHandle } from './addon.ts';
import { type Endpoint, type ListenAddress, nativeEndpoint } from './address.ts';
import { VsockError } from './errors.ts';
import { limits } from './limits.ts';
import { systemError } from './watch.ts';
import { within } from './within.ts';

export interface RelayLimits {
  /** Open connections; more are closed at once and counted as refused. */
  maxConnections: number;
  /** For the connect to the target, with the CONNECT/OK exchange where there is one. */
  connectTimeoutMs: number;
  /** A connection without a byte for so long is cut; 0 = never. */
  idleTimeoutMs: number;
  /** New connections: `burst` at once after a quiet time, `perSecond` in the long run; more are closed at once. */
  rate?: { readonly perSecond: number; readonly burst: number };
  /** The target first hears who connects to which address, in a header of PROXY protocol v2; from TCP listeners. */
  proxyHeader?: boolean;
  /** Connections that share one turn with this one's, and bounds. Without: those of all that has no group. */
  group?: RelayGroup;
  /** Called for each connection at its end, the last ones after `close` was called. It must not throw. */
  onConnectionEnd?: (end: ConnectionEnd) => void;
  /** Each connection is decided upon by its first bytes, and then counts for `rate`. Not beside `proxyHeader`. */
  screen?: Screen;
}

/** Looks at the first bytes of connections before the target hears of them. */
export interface Screen {
  /** How many bytes may be looked at; a connection that needs more is closed. */
  readonly maxBytes: number;
  /** A connection that is not decided upon in this time is closed. */
  readonly timeoutMs: number;
  /** Called in Relay's own event: it must not wait, and not throw. `first` is what has come so far, from the first byte on. */
  decide(first: Buffer): Verdict;
}

/** `pass`: so many of the first bytes are taken away, at least one, and `head` goes to the target in their place. */
export type Verdict = 'more' | 'refuse' | { readonly pass: number; readonly head?: Buffer };

/** What bounds the connections of a group together. */
export interface GroupLimits {
  /** Open connections of its routes; more are closed at once and counted as refused. */
  maxConnections: number;
  /** New connections of its routes, see `RelayLimits`. */
  rate?: { readonly perSecond: number; readonly burst: number } | undefined;
  /** Both directions together; 0, the default, is no bound. What is over it waits, and so do those who send it. */
  bytesPerSecond?: { readonly routes?: number | undefined; readonly egress?: number | undefined } | undefined;
}

/** Connections that get one share of the relay together, however many they are. Made by `Relay.group`. */
export interface RelayGroup {
  readonly handle: GroupHandle;
  stats(): GroupStats;
  /** Counts one in that JavaScript serves, as if it were a connection of a route, until `leave`; or says which bound is in the way. */
  admit(): Admission;
  leave(): void;
  /** Counts bytes of those. */
  passed(bytesIn: number, bytesOut: number): void;
}

const ADMISSIONS = ['admitted', 'full', 'rate-limited'] as const;
export type Admission = (typeof ADMISSIONS)[number];

/** Of its routes and what was admitted, since it was made; `in` is from the listener's side to the target, or from the first of a pair to the second. */
export interface GroupStats {
  active: number;
  accepted: number;
  refused: number;
  rateLimited: number;
  failedConnects: number;
  bytesIn: number;
  bytesOut: number;
  egressBytesIn: number;
  egressBytesOut: number;
  /** What the relay's threads have done for it. Where they are busy, groups that want more have equal parts. */
  busySeconds: number;
}

export class NativeGroup implements RelayGroup {
  readonly handle: GroupHandle;

  constructor(handle: GroupHandle) {
    this.handle = handle;
  }

  stats(): GroupStats {
    const words = new Float64Array(10);
    addon().groupStats(this.handle, words);
    const [active = 0, accepted = 0, refused = 0, rateLimited = 0, failedConnects = 0] = words;
    const [bytesIn = 0, bytesOut = 0, egressBytesIn = 0, egressBytesOut = 0, busyNs = 0] = words.subarray(5);
    const bytes = { bytesIn, bytesOut, egressBytesIn, egressBytesOut };
    return { active, accepted, refused, rateLimited, failedConnects, ...bytes, busySeconds: busyNs / 1e9 };
  }

  admit(): Admission {
    return ADMISSIONS[addon().groupAdmit(this.handle)] ?? 'full';
  }

  leave(): void {
    addon().groupLeave(this.handle);
  }

  passed(bytesIn: number, bytesOut: number): void {
    addon().groupPassed(this.handle, bytesIn, bytesOut);
  }
}

/** How one connection of a route ended. `in` is from the listener's side to the target. */
export interface ConnectionEnd {
  /** `address:port`, `cid <n>` or `unix`. */
  peer: string;
  bytesIn: number;
  bytesOut: number;
  ms: number;
  reason: EndReason;
  errno?: number;
}

export const END_REASONS = ['closed', 'reset', 'idle', 'cancelled', 'connect-failed'] as const;
/** `closed`: both directions ended in order. `reset`: broken off, bytes may be missing. */
export type EndReason = (typeof END_REASONS)[number];

/** `in` is from the listener's side to the target, PROXY headers among it. */
export interface RelayStats {
  active: number;
  accepted: number;
  /** Over the bound on open connections, or from a CID that is not listed. */
  refused: number;
  /** Over the rate. */
  rateLimited: number;
  /** Closed before `screen` could decide: late, ended, or too long. */
  undecided: number;
  failedConnects: number;
  /** Times that the listener paused for want of descriptors or memory. */
  acceptErrors: number;
  /** errno of the last of them; 0 = there was none. */
  acceptErrno: number;
  bytesIn: number;
  bytesOut: number;
}

export interface RelayRoute {
  readonly address: { host?: string; port?: number; path?: string };
  /** The socket that it listens at, to be given to another process; -1 once it is closed. */
  readonly descriptor: number;
  stats(): RelayStats;
  /** New connections go there, and are of that group, from now on; those that are open, or being connected, stay where they are. */
  retarget(target: Endpoint, options?: Pick<RelayLimits, 'group' | 'onConnectionEnd'>): void;
  /**
   * Stops accepting at once, lets connections finish for up to `drainMs` (default 0), then cuts. `shared`: another process
   * listens at this very socket; what waits in its queue, and the path of a Unix socket, is left to that one.
   */
  close(options?: { drainMs?: number; shared?: boolean }): Promise<void>;
}

/** A verdict for the addon: bytes to take away (-1 refuses, 0 waits for more), and those in their place. */
export type Told = readonly [skip: number, head: Buffer | null];
export const REFUSED: Told = [-1, null];

/** @throws VsockError OPTION_INVALID */
export function checkLimits(bounds: RelayLimits): void {
  within('maxConnections', bounds.maxConnections, 1, limits.connectionsMax);
  within('connectTimeoutMs', bounds.connectTimeoutMs, 1, limits.timeoutMaxMs);
  within('idleTimeoutMs', bounds.idleTimeoutMs, 0, limits.timeoutMaxMs);
  if (bounds.rate) checkRate(bounds.rate);
  if (bounds.screen) {
    within('screen.maxBytes', bounds.screen.maxBytes, 1, limits.screenBytes);
    within('screen.timeoutMs', bounds.screen.timeoutMs, 1, limits.timeoutMaxMs);
  }
  if (bounds.screen && bounds.proxyHeader)
    throw new VsockError('OPTION_INVALID', 'a route has screen or proxyHeader, not both');
}

/** @throws VsockError OPTION_INVALID */
export function checkRate({ perSecond, burst }: NonNullable<RelayLimits['rate']>): void {
  within('rate.perSecond', perSecond, 1, limits.connectionsMax);
  within('rate.burst', burst, 1, limits.connectionsMax);
}

export class NativeRoute implements RelayRoute {
  readonly address: { host?: string; port?: number; path?: string };
  readonly #screen: Screen | undefined;
  readonly #relay: RelayHandle;
  readonly #route: RouteHandle;
  readonly #closed = Promise.withResolvers<void>();
  /** For connections that came before the first change of the target, before the second ... */
  readonly #onConnectionEnd: RelayLimits['onConnectionEnd'][];
  #over = false;

  constructor(relay: RelayHandle, route: RouteHandle, asked: ListenAddress, bounds: RelayLimits) {
    this.#screen = bounds.screen;
    this.#onConnectionEnd = [bounds.onConnectionEnd];
    this.#relay = relay;
    this.#route = route;
    this.address = asked.type === 'unix' ? { path: asked.path } : boundAddress(addon().routeAddress(route));
  }

  stats(): RelayStats {
    const words = new Float64Array(10);
    addon().routeStats(this.#route, words);
    const [active = 0, accepted = 0, refused = 0, rateLimited = 0, undecided = 0] = words;
    const [failedConnects = 0, acceptErrors = 0, bytesIn = 0, bytesOut = 0, acceptErrno = 0] = words.subarray(5);
    const taken = { active, accepted, refused, rateLimited, undecided, failedConnects };
    return { ...taken, acceptErrors, acceptErrno, bytesIn, bytesOut };
  }

  get descriptor(): number {
    return this.#over ? -1 : addon().routeDescriptor(this.#route);
  }

  retarget(target: Endpoint, options: Pick<RelayLimits, 'group' | 'onConnectionEnd'> = {}): void {
    const { group, onConnectionEnd } = options;
    const change = addon().routeRetarget(this.#route, nativeEndpoint(target), group?.handle ?? null);
    this.#onConnectionEnd[change] = onConnectionEnd;
  }

  ended(change: number, end: ConnectionEnd): void {
    this.#onConnectionEnd[change]?.(end);
  }

  decide(first: Buffer): Told {
    const verdict = this.#screen?.decide(first) ?? 'refuse';
    if (verdict === 'refuse') return REFUSED;
    return verdict === 'more' ? [0, null] : [verdict.pass, verdict.head ?? null];
  }

  async close({ drainMs = 0, shared = false }: { drainMs?: number; shared?: boolean } = {}): Promise<void> {
    if (!this.#over) addon().routeClose(this.#relay, this.#route, drainMs, shared);
    await this.#closed.promise;
  }

  onClosed(): void {
    this.#over = true;
    this.#closed.resolve();
  }
}

const AF_INET = 2;
const AF_INET6 = 10;

/** What the kernel bound: `struct sockaddr_in`, `_in6` (ports big-endian) or `_vm` (native order). */
function boundAddress(bytes: Buffer | number): { host?: string; port: number } {
  if (typeof bytes === 'number') throw systemError('asking for the bound address', -bytes);
  const family = bytes.readUInt16LE(0);
  if (family === AF_INET) return { host: bytes.subarray(4, 8).join('.'), port: bytes.readUInt16BE(2) };
  if (family === AF_INET6) {
    const groups = bytes.toString('hex', 8, 24).match(/.{4}/g) ?? [];
    return {
      host: new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address,
      port: bytes.readUInt16BE(2),
    };
  }
  return { port: bytes.readUInt32LE(4) };
}
