import type { ConnectionLimits } from '@enclaver/bus';
import { bracketed } from '@enclaver/egress-policy';
import { type Relay, type RelayPeer, type StreamPort, VsockError, type VsockStream } from '@enclaver/vsock';
import { EGRESS_PORT, type EgressReply, type EgressRequest, EgressRequestDecoder, encodeEgress } from '@enclaver/wire';
import type { Logger } from 'pino';
import type { AccessLine } from './access-log.ts';
import { dial, literalOf, type NotDialled, notReached } from './dial.ts';
import type { Destination } from './ingress.ts';
import { limits } from './limits.ts';
import type { LookupQueue, Lookups } from './lookups.ts';
import type { ParentPolicy } from './parent-policy.ts';
import { ProxyError } from './proxy-error.ts';
import { Rate } from './rate.ts';

/** Counters of one enclave's egress since its start. */
export interface EgressStats {
  active: number;
  accepted: number;
  /** Over the bound on open connections. */
  refused: number;
  /** Over the rate. */
  rateLimited: number;
  failed: number;
}

export type EgressEnd = Pick<AccessLine, 'target' | 'address' | 'bytesIn' | 'bytesOut' | 'ms' | 'end' | 'errno'>;

export interface EgressOptions {
  logger: Logger;
  lookups: Lookups;
  limits?: ConnectionLimits | undefined;
  policy?: ParentPolicy | undefined;
  onEnd?: ((end: EgressEnd) => void) | undefined;
  /** The listening socket of another outer-proxy, to go on with. */
  descriptor?: number | undefined;
}

const EACCES = 13;

/**
 * Dials for one enclave. Each connection says in one bounded, timed frame where it wants to go; after our reply its bytes
 * pass natively. The enclave may be hostile, too: it gets a bounded number of connections and nothing else of ours.
 */
export class Egress {
  readonly #relay: Relay;
  readonly #from: Pick<Destination, 'transport' | 'group'>;
  readonly #options: EgressOptions;
  readonly #lookups: LookupQueue;
  readonly #maxConnections: number;
  readonly #rate: Rate;
  readonly #refusals = new Rate(limits.egressRefusalsPerSecond);
  readonly #cut = new AbortController();
  readonly #connections = new Set<Promise<void>>();
  readonly #stats = { accepted: 0, refused: 0, rateLimited: 0, failed: 0 };
  #listener: StreamPort | undefined;

  private constructor(relay: Relay, from: Pick<Destination, 'transport' | 'group'>, options: EgressOptions) {
    const { egressConnections = limits.egressConnections, egressPerSecond = limits.egressPerSecond } =
      options.limits ?? {};
    this.#relay = relay;
    this.#from = from;
    this.#options = options;
    this.#lookups = options.lookups.join();
    this.#maxConnections = egressConnections;
    this.#rate = new Rate(egressPerSecond);
  }

  /** Errors: `EGRESS_PORT_IN_USE`, and those of the transport. */
  static async open(
    relay: Relay,
    from: Pick<Destination, 'transport' | 'group'>,
    options: EgressOptions,
  ): Promise<Egress> {
    const egress = new Egress(relay, from, options);
    const accept = (stream: VsockStream): void => egress.#accept(stream);
    try {
      egress.#listener = await from.transport.listen(EGRESS_PORT, accept, { descriptor: options.descriptor });
    } catch (cause) {
      options.lookups.leave(egress.#lookups);
      throw isTaken(cause) ? egressPortInUse(cause) : cause;
    }
    return egress;
  }

  get descriptor(): number {
    return this.#listener?.descriptor ?? -1;
  }

  get acceptErrors(): number {
    return this.#listener?.acceptErrors ?? 0;
  }

  get stats(): EgressStats {
    return { active: this.#connections.size, ...this.#stats };
  }

  /** Takes no more connections; those that are open end by themselves or after `drainMs`. */
  async close({ drainMs, shared }: { drainMs: number; shared: boolean }): Promise<void> {
    await this.#listener?.close({ shared });
    const timer = setTimeout(() => this.#cut.abort(), drainMs);
    await Promise.all(this.#connections);
    clearTimeout(timer);
    this.#options.lookups.leave(this.#lookups);
  }

  #accept(stream: VsockStream): void {
    const { logger } = this.#options;
    // Without a listener an error would end the process; what happens to a broken stream is decided where it is read
    stream.on('error', (error) => logger.debug({ err: error }, 'egress stream broke'));
    const isFull = this.#connections.size >= this.#maxConnections;
    if (isFull || !this.#rate.take()) {
      this.#stats[isFull ? 'refused' : 'rateLimited']++;
      stream.destroy();
      if (!this.#refusals.take()) this.#listener?.pause?.();
      return;
    }
    this.#stats.accepted++;
    const connection = this.#serve(stream)
      .catch((error: unknown) => {
        this.#stats.failed++;
        logger.warn({ err: error }, 'egress connection failed');
        stream.destroy();
      })
      .finally(() => this.#connections.delete(connection));
    this.#connections.add(connection);
  }

  async #serve(stream: VsockStream): Promise<void> {
    const { lookups, policy } = this.#options;
    const { signal } = this.#cut;
    const begun = performance.now();
    const { message: request, rest } = await readRequest(stream, signal);
    const literal = literalOf(request, policy);
    if (literal !== undefined && 'address' in literal) {
      const to = {
        connect: { type: 'tcp', host: literal.address, port: request.port },
        timeoutMs: limits.egressConnectMs,
      } as const;
      const errno = await this.#join({ stream, head: rest }, to, literal.address, request, begun);
      if (errno !== undefined)
        await this.#refuse(stream, request, begun, notReached(literal.address, request.port, errno));
      return;
    }
    const lookup = (ended: AbortSignal) => lookups.of(this.#lookups, ended);
    const dialled = literal ?? (await dial(request, { signal, lookup, policy }));
    if ('error' in dialled) {
      await this.#refuse(stream, request, begun, dialled);
      return;
    }
    try {
      await this.#join({ stream, head: rest }, { stream: dialled.socket }, dialled.address, request, begun);
    } finally {
      // Still ours where the relay took nothing: the enclave's stream broke meanwhile
      dialled.socket.destroy();
    }
  }

  /** Until both directions have ended; the errno where the relay was to dial and could not, the stream being open still. */
  async #join(
    enclave: RelayPeer,
    target: RelayPeer,
    address: string,
    request: EgressRequest,
    begun: number,
  ): Promise<number | undefined> {
    const reply = encodeEgress(request.report === true ? { Ok: { address } } : 'Ok');
    const { bytesAToB, bytesBToA, reason, ...how } = await this.#relay.join(
      enclave,
      { ...target, head: reply },
      { idleTimeoutMs: limits.idleMs, signal: this.#cut.signal, group: this.#from.group, egress: true },
    );
    if (reason === 'connect-failed') return how.errno ?? 0;
    // Our own word to the enclave is none of its bytes
    const bytesIn = Math.max(bytesBToA - reply.length, 0);
    this.#ended(request, begun, { address, bytesIn, bytesOut: bytesAToB, end: reason, ...how });
    return undefined;
  }

  async #refuse(stream: VsockStream, request: EgressRequest, begun: number, { error }: NotDialled): Promise<void> {
    const { policy, logger } = this.#options;
    this.#stats.failed++;
    logger.info({ host: request.host, port: request.port, reply: error }, 'egress target not reached');
    const errno = errnoOf(error);
    const end = policy !== undefined && errno === EACCES ? 'refused' : 'connect-failed';
    this.#ended(request, begun, { bytesIn: 0, bytesOut: 0, end, ...(errno === 0 ? {} : { errno }) });
    await lastWord(stream, encodeEgress(error));
  }

  #ended({ host, port }: EgressRequest, begun: number, how: Omit<EgressEnd, 'target' | 'ms'>): void {
    const target = `${bracketed(host)}:${port}`;
    const ms = Math.round(performance.now() - begun);
    this.#options.onEnd?.({ target, ms, ...how });
  }
}

function errnoOf(reply: EgressReply): number {
  return typeof reply === 'object' && 'Err' in reply ? reply.Err.os_code : 0;
}

/** Sends it and waits for the enclave to close, too; one that does not is cut, so that it holds no descriptor of ours. */
async function lastWord(stream: VsockStream, bytes: Buffer): Promise<void> {
  if (stream.destroyed) return;
  const timer = setTimeout(() => stream.destroy(), limits.drainMs);
  const closed = new Promise((resolve) => stream.once('close', resolve));
  stream.end(bytes);
  stream.resume();
  await closed;
  clearTimeout(timer);
}

async function readRequest(
  stream: VsockStream,
  signal: AbortSignal,
): Promise<{ message: EgressRequest; rest: Buffer }> {
  const decoder = new EgressRequestDecoder();
  return await new Promise((resolve, reject) => {
    const done = (error?: Error) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      stream.off('readable', onReadable).off('end', onEnd).off('close', onEnd);
      if (error !== undefined) reject(error);
    };
    const onAbort = () => done(new Error('the enclave has ended'));
    const onEnd = () => done(new Error('ended before its request was complete'));
    const onReadable = () => {
      try {
        for (let chunk = stream.read(); chunk !== null; chunk = stream.read()) {
          const request = decoder.push(chunk);
          if (request === undefined) continue;
          done();
          resolve(request);
          return;
        }
      } catch (error) {
        done(error as Error);
      }
    };
    const timer = setTimeout(
      () => done(new Error(`no request within ${limits.egressRequestMs} ms`)),
      limits.egressRequestMs,
    );
    signal.addEventListener('abort', onAbort);
    stream.on('readable', onReadable).once('end', onEnd).once('close', onEnd);
  });
}

function isTaken(error: unknown): boolean {
  return error instanceof VsockError && error.code === 'ADDRESS_IN_USE';
}

/** Vsock ports are the host's, also for processes in containers: two outer-proxies of two stacks cannot both have it. */
function egressPortInUse(cause: unknown): ProxyError {
  return new ProxyError(
    'EGRESS_PORT_IN_USE',
    `the vsock port of egress, ${EGRESS_PORT}, is taken by another stack or release container of this machine`,
    'run both enclaves by one stack (`enclaver up`), or end the other',
    { cause },
  );
}
