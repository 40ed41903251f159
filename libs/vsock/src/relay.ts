import type { Duplex } from 'node:stream';
import { type Addon, addon, type NativeSide, type RelayHandle } from './addon.ts';
import { describeAddress, type Endpoint, type ListenAddress, nativeEndpoint, sockaddr } from './address.ts';
import { listenError, VsockError } from './errors.ts';
import { limits } from './limits.ts';
import {
  checkLimits,
  checkRate,
  END_REASONS,
  type EndReason,
  type GroupLimits,
  NativeGroup,
  NativeRoute,
  REFUSED,
  type RelayGroup,
  type RelayLimits,
  type RelayRoute,
  type Told,
} from './route.ts';
import { type Taken, takeOver } from './takeover.ts';
import { systemError } from './watch.ts';
import { within } from './within.ts';

/**
 * One end of a pair: an open stream, which is taken over (the JavaScript object is destroyed), or an address to dial.
 * `head` are bytes already read from this end; the other end gets them first. For an address that makes it the place
 * for what the other end shall hear once the connection stands, such as an HTTP 200 to a CONNECT.
 */
export type RelayPeer =
  | { readonly stream: Duplex; readonly head?: Buffer }
  | { readonly connect: Endpoint; readonly timeoutMs: number; readonly head?: Buffer };

/**
 * How a pair ended. `closed`: both directions ended in order. `reset`: broken off, bytes may be missing.
 * `connect-failed`: an address could not be reached; streams are then given back open and paused, so that they can be
 * answered: the caller ends and destroys them.
 */
export interface RelayResult {
  bytesAToB: number;
  bytesBToA: number;
  reason: EndReason;
  errno?: number;
}

export interface JoinOptions {
  /** Cut after so long without a byte; 0, the default, is never (dead TCP peers are found by keep-alive). */
  idleTimeoutMs?: number;
  signal?: AbortSignal;
  /** Connections that share one turn with this one. Without: those of all that has no group. */
  group?: RelayGroup;
  /** It counts for the group's bytes per second of egress, not of routes. */
  egress?: boolean;
}

interface Join {
  /** While an address is being dialled the stream is kept, unread, for an answer in case that fails. */
  readonly kept: Taken | undefined;
  readonly resolve: (result: RelayResult) => void;
}

const JOIN_CONNECTED = 0;
const JOIN_DONE = 1;
const ROUTE_CLOSED = 2;
const STOPPED = 3;
const SCREEN = 4;
const CONN_CLOSED = 5;
const EVENT_WORDS = 6;
const EVENTS_PER_CALL = 256;
const NOTHING = Buffer.alloc(0);
const CANCELLED: RelayResult = { bytesAToB: 0, bytesBToA: 0, reason: 'cancelled' };

/**
 * Moves bytes between sockets on native threads; JavaScript decides and hears the result.
 * It keeps the process alive only while it has a route or a pair.
 */
export class Relay {
  readonly #addon: Addon;
  readonly #handle: RelayHandle;
  readonly #words = new Float64Array(EVENTS_PER_CALL * EVENT_WORDS);
  /** By their ids, of which those that are free again are used first: the addon has a table of them, too. */
  readonly #joins: (Join | undefined)[] = [];
  readonly #freeIds: number[] = [];
  readonly #routes = new Map<number, NativeRoute>();
  readonly #stopped = Promise.withResolvers<void>();
  #nextRoute = 0;
  /** Pairs that wait for what JavaScript wrote to their streams. */
  #pending = 0;
  #held = false;
  #closing = false;

  constructor(options: { threads?: number; bufferSize?: number } = {}) {
    const { threads = 1, bufferSize = limits.relayBufferBytes } = options;
    within('threads', threads, 1, limits.relayThreads);
    within('bufferSize', bufferSize, 4096, limits.relayBufferMaxBytes);
    this.#addon = addon();
    const { relayPendingBytes } = limits;
    const handle = this.#addon.relayCreate(
      threads,
      bufferSize,
      relayPendingBytes,
      this.#words,
      (count, firsts, reports) => this.#onEvents(count, firsts, reports),
    );
    if (typeof handle === 'number') throw systemError('starting the relay threads', -handle);
    this.#handle = handle;
  }

  /**
   * Accepts at `address` and connects each to `target`, without JavaScript.
   * @throws VsockError ADDRESS_IN_USE, LISTEN_FAILED, NO_VSOCK, ADDRESS_INVALID, OPTION_INVALID, RELAY_CLOSED
   */
  async listen(address: ListenAddress, target: Endpoint, bounds: RelayLimits): Promise<RelayRoute> {
    this.#check();
    checkLimits(bounds);
    const id = this.#nextRoute++;
    const handle = this.#addon.relayListen(
      this.#handle,
      id,
      sockaddr(address),
      limits.backlog,
      address.type === 'tcp' && address.reusePort === true,
      address.type !== 'tcp' && address.hybrid === true,
      address.type === 'vsock' ? (address.peerCids ?? null) : null,
      nativeEndpoint(target),
      bounds.proxyHeader ?? false,
      bounds.onConnectionEnd !== undefined,
      bounds.group?.handle ?? null,
      address.descriptor ?? null,
      [
        bounds.maxConnections,
        bounds.connectTimeoutMs,
        bounds.idleTimeoutMs,
        ...paceOf(bounds.rate),
        bounds.screen?.maxBytes ?? 0,
        bounds.screen?.timeoutMs ?? 0,
      ],
    );
    if (typeof handle === 'number') throw listenError(describeAddress(address), -handle);
    const route = new NativeRoute(this.#handle, handle, address, bounds);
    this.#routes.set(id, route);
    this.#hold();
    return route;
  }

  /**
   * Connections that together get one share of the relay's time, and the same bounds.
   * @throws VsockError OPTION_INVALID, RELAY_CLOSED
   */
  group(bounds: GroupLimits): RelayGroup {
    this.#check();
    within('maxConnections', bounds.maxConnections, 1, limits.connectionsMax);
    if (bounds.rate) checkRate(bounds.rate);
    const { routes = 0, egress = 0 } = bounds.bytesPerSecond ?? {};
    within('bytesPerSecond.routes', routes, 0, limits.bytesPerSecondMax);
    within('bytesPerSecond.egress', egress, 0, limits.bytesPerSecondMax);
    const native = [bounds.maxConnections, ...paceOf(bounds.rate), limits.groupPendingBytes];
    const handle = this.#addon.relayGroup(this.#handle, native, [routes, egress]);
    if (typeof handle === 'number') throw systemError('making a group of connections', -handle);
    return new NativeGroup(handle);
  }

  /**
   * Joins two ends until both directions have ended. Streams are stopped in this very call, so that no byte is lost.
   * @throws VsockError STREAM_UNSUPPORTED, STREAM_CLOSED, STREAM_BUSY, ADDRESS_INVALID, OPTION_INVALID, RELAY_FULL, RELAY_CLOSED
   */
  async join(a: RelayPeer, b: RelayPeer, options: JoinOptions = {}): Promise<RelayResult> {
    this.#check();
    const { idleTimeoutMs = 0 } = options;
    within('idleTimeoutMs', idleTimeoutMs, 0, limits.timeoutMaxMs);
    if (this.#open + this.#pending >= limits.relayJoins)
      throw new VsockError('RELAY_FULL', `the relay has ${limits.relayJoins} pairs already`);
    const sideA = prepare(a);
    let sideB: Prepared;
    try {
      sideB = prepare(b);
    } catch (error) {
      sideA.taken?.giveBack();
      throw error;
    }
    if (sideA.taken?.flushed || sideB.taken?.flushed) await this.#flush(sideA.taken, sideB.taken);
    if (options.signal?.aborted || this.#closing) {
      sideA.taken?.release();
      sideB.taken?.release();
      return { ...CANCELLED };
    }
    return await this.#start(sideA, sideB, options);
  }

  /** Cuts everything, ends the threads. */
  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      this.#addon.relayRef(this.#handle, true);
      this.#addon.relayClose(this.#handle);
    }
    await this.#stopped.promise;
  }

  async #flush(...taken: (Taken | undefined)[]): Promise<void> {
    this.#pending++;
    try {
      await Promise.all(taken.map((side) => side?.flushed));
    } catch (error) {
      for (const side of taken) side?.release();
      throw error;
    } finally {
      this.#pending--;
    }
  }

  #start(a: Prepared, b: Prepared, options: JoinOptions): Promise<RelayResult> {
    const { idleTimeoutMs = 0, signal, group, egress = false } = options;
    const id = this.#freeIds.at(-1) ?? this.#joins.length;
    const shared = group?.handle ?? null;
    const errno = -this.#addon.relayJoin(this.#handle, id, a.side, b.side, idleTimeoutMs, shared, egress);
    const whole = a.taken !== undefined && b.taken !== undefined;
    if (errno !== 0 || whole) {
      a.taken?.release();
      b.taken?.release();
    }
    if (errno !== 0) throw systemError('handing the streams to the relay', errno);
    this.#freeIds.pop();
    const { promise, resolve } = Promise.withResolvers<RelayResult>();
    const join: Join = { kept: whole ? undefined : (a.taken ?? b.taken), resolve };
    this.#joins[id] = join;
    this.#hold();
    return signal ? this.#untilAborted(id, join, promise, signal) : promise;
  }

  async #untilAborted(id: number, join: Join, ended: Promise<RelayResult>, signal: AbortSignal): Promise<RelayResult> {
    const cancel = (): void => {
      if (this.#joins[id] === join && !this.#closing) this.#addon.joinCancel(this.#handle, id);
    };
    signal.addEventListener('abort', cancel, { once: true });
    try {
      return await ended;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  /** Gives what was decided on each of `firsts`, in two places each: bytes to take away (-1 refuses, 0 waits), bytes in their place. */
  #onEvents(count: number, firsts: Buffer[], reports: (string | number)[]): Told[number][] {
    const verdicts: Told[number][] = [];
    const words = this.#words;
    let told = 0;
    for (let i = 0; i < count * EVENT_WORDS; i += EVENT_WORDS) {
      const [type, id, errno] = [words[i] as number, words[i + 1] as number, words[i + 3] as number];
      const reason = END_REASONS[words[i + 2] as number] ?? 'reset';
      const [bytesAToB, bytesBToA] = [words[i + 4] as number, words[i + 5] as number];
      if (type === JOIN_CONNECTED) {
        this.#joins[id]?.kept?.release();
      } else if (type === JOIN_DONE) {
        this.#onDone(id, { bytesAToB, bytesBToA, reason, ...(errno === 0 ? {} : { errno }) });
      } else if (type === ROUTE_CLOSED) {
        this.#routes.get(id)?.onClosed();
        this.#routes.delete(id);
      } else if (type === CONN_CLOSED) {
        const [peer, ms, lead] = reports.slice(told, told + 3) as [string, number, number];
        told += 3;
        const how = { reason, ...(errno === 0 ? {} : { errno }) };
        this.#routes.get(id)?.ended(lead, { peer, ms, bytesIn: bytesAToB, bytesOut: bytesBToA, ...how });
      } else if (type === SCREEN) {
        const first = firsts[verdicts.length / 2];
        verdicts.push(...((first && this.#routes.get(id)?.decide(first)) ?? REFUSED));
      } else if (type === STOPPED) {
        this.#stopped.resolve();
      }
    }
    if (!this.#closing) this.#hold();
    return verdicts;
  }

  #onDone(id: number, result: RelayResult): void {
    const join = this.#joins[id];
    if (!join) return;
    this.#joins[id] = undefined;
    this.#freeIds.push(id);
    if (result.reason === 'connect-failed') join.kept?.giveBack();
    else join.kept?.release();
    join.resolve(result);
  }

  get #open(): number {
    return this.#joins.length - this.#freeIds.length;
  }

  #hold(): void {
    const hold = this.#open + this.#routes.size > 0;
    if (hold === this.#held) return;
    this.#held = hold;
    this.#addon.relayRef(this.#handle, hold);
  }

  #check(): void {
    if (this.#closing) throw new VsockError('RELAY_CLOSED', 'the relay is closed');
  }
}

/** Nanoseconds between two connections, and how many may come at once. */
function paceOf(rate: RelayLimits['rate']): [intervalNs: number, burst: number] {
  return rate ? [Math.round(1e9 / rate.perSecond), rate.burst] : [0, 0];
}

interface Prepared {
  readonly side: NativeSide;
  readonly taken: Taken | undefined;
}

function prepare(peer: RelayPeer): Prepared {
  const head = peer.head ?? NOTHING;
  if ('stream' in peer) {
    const taken = takeOver(peer.stream, head);
    return { side: [taken.fd, taken.hybrid, null, 0, taken.head], taken };
  }
  within('timeoutMs', peer.timeoutMs, 1, limits.timeoutMaxMs);
  within('head.length', head.length, 0, limits.headBytes);
  return { side: [null, false, nativeEndpoint(peer.connect), peer.timeoutMs, head], taken: undefined };
}
