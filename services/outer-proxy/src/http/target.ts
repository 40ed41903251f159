import type { EnclaveRecord, PublishedPort } from '@enclaver/bus';
import { HttpFault } from '@enclaver/http-forward';
import { VsockError, type VsockStream, type VsockTransport } from '@enclaver/vsock';
import type { Destination } from '../ingress.ts';
import type { Limits } from '../limits.ts';
import { Http1Upstream } from './http1-upstream.ts';
import type { RequestEntry, RequestOutcome } from './request-entry.ts';
import { RequestError } from './request-error.ts';
import { Running } from './running.ts';
import type { Share } from './share.ts';
import type { Upstream } from './upstream.ts';

export type TargetState = 'starting' | 'ready' | 'unhealthy';

/** Orders targets by when they were asked last. */
let clock = 0;

/** One port of one enclave, as the end of routes: bounds and counts what is under way. */
export class Target {
  readonly id: string;
  readonly name: string;
  state: TargetState;
  /** It is about to go: it is asked where nobody else can be, and holds its routes against nobody. */
  isClosing = false;
  readonly counts = { requests: 0, answered: 0, busy: 0, limited: 0, failed: 0, timedOut: 0, aborted: 0 };
  readonly listenPort: number;
  readonly #image: string;
  readonly #upstream: Upstream;
  readonly #limits: Limits;
  readonly #share: Share;
  /** Requests and upgraded connections under way. */
  readonly #running = new Set<Running>();
  #idle = Promise.withResolvers<void>();
  #lastAsked = 0;

  static async make(
    { record, transport, share }: Pick<Destination, 'record' | 'transport' | 'share'>,
    { listenPort, route }: PublishedPort,
    limits: Limits,
  ): Promise<Target> {
    const open = async (): Promise<VsockStream> => {
      const stream = await connect(transport, listenPort, limits.ingressConnectMs);
      stream.gate = share;
      // Node's client takes its own listener away while a connection is kept: an error must not end this process
      stream.on('error', () => stream.destroy());
      return stream;
    };
    if (route?.h2c !== true) return new Target(record, listenPort, share, new Http1Upstream(open), limits);
    const { H2cUpstream } = await import('./h2c-upstream.ts');
    return new Target(record, listenPort, share, new H2cUpstream(open), limits);
  }

  private constructor(record: EnclaveRecord, listenPort: number, share: Share, upstream: Upstream, limits: Limits) {
    this.#limits = limits;
    this.#share = share;
    this.id = record.id;
    this.name = record.name;
    this.state = stateOf(record);
    this.#image = record.measurements.PCR0;
    this.listenPort = listenPort;
    this.#upstream = upstream;
  }

  get active(): number {
    return this.#running.size;
  }

  /** A new enclave of the same name: this one has ended, or hands over. */
  succeededBy({ id, name }: Target): boolean {
    return name === this.name && id !== this.id;
  }

  /** The same port of the same image answers alike: either may be asked. */
  twinOf(other: Target): boolean {
    return other.#image === this.#image && other.listenPort === this.listenPort;
  }

  isBefore(other: Target): boolean {
    return this.active - other.active < 0 || (this.active === other.active && this.#lastAsked < other.#lastAsked);
  }

  /**
   * Runs `work` as one request of this enclave: it is bounded, counted, and ends early when the enclave is cut off.
   * @throws RequestError ENCLAVE_NOT_READY, ENCLAVE_BUSY, RATE_LIMITED, and what `work` throws
   */
  async run(entry: RequestEntry, work: (request: Running) => Promise<void>): Promise<void> {
    if (this.state === 'starting') {
      throw new RequestError(503, 'ENCLAVE_NOT_READY', 'the enclave is not ready yet');
    }
    if (this.active >= this.#limits.httpRequests) throw this.busy(entry);
    const admission = this.#share.admit();
    if (admission === 'full') throw this.busy(entry);
    if (admission === 'rate-limited') {
      this.#count(entry, 'limited');
      throw new RequestError(429, 'RATE_LIMITED', 'the enclave has had as many requests in this second as it may');
    }
    const request = new Running(entry, this.#share, this.#upstream, this.#limits.httpAnswerMs);
    this.#running.add(request);
    this.#lastAsked = ++clock;
    this.counts.requests++;
    try {
      await work(request);
      this.#count(entry, request.outcome ?? 'answered');
    } catch (error) {
      this.#count(entry, request.outcome ?? 'failed');
      throw this.#explained(error, request);
    } finally {
      this.#running.delete(request);
      this.#share.leave();
      if (this.active === 0) this.#idle.resolve();
    }
  }

  /** Turns a request away: there are as many under way as there may be. */
  busy(entry: RequestEntry): RequestError {
    this.#count(entry, 'busy');
    return new RequestError(503, 'ENCLAVE_BUSY', 'the enclave has as many requests as it may');
  }

  /** Nothing more is asked of it; what runs goes on. */
  retire(): void {
    this.#upstream.close();
  }

  /** Resolves when what runs has ended, or was cut after `drainMs`. */
  async close(drainMs: number): Promise<void> {
    this.isClosing = true;
    this.retire();
    if (this.active === 0) return;
    this.#idle = Promise.withResolvers();
    const timer = setTimeout(() => {
      for (const request of this.#running) request.abort();
    }, drainMs);
    await this.#idle.promise;
    clearTimeout(timer);
  }

  #count(entry: RequestEntry, outcome: keyof Target['counts'] & RequestOutcome): void {
    this.counts[outcome]++;
    entry.outcome = outcome;
  }

  #explained(error: unknown, { reason }: Running): unknown {
    if (reason !== undefined) return reason;
    if (!(error instanceof HttpFault) || error.status !== 502) return error;
    const words = 'the enclave gave no answer that can be read';
    return new RequestError(502, 'ENCLAVE_BROKE_OFF', words, { cause: error });
  }
}

function stateOf({ state }: EnclaveRecord): TargetState {
  if (state === 'unhealthy') return 'unhealthy';
  return state === 'ready' || state === 'stopping' ? 'ready' : 'starting';
}

/** @throws RequestError ENCLAVE_TIMEOUT, ENCLAVE_UNREACHABLE */
async function connect(transport: VsockTransport, port: number, timeoutMs: number): Promise<VsockStream> {
  try {
    return await transport.connect(port, { timeoutMs });
  } catch (cause) {
    if (cause instanceof VsockError && cause.code === 'CONNECT_TIMEOUT') {
      throw new RequestError(504, 'ENCLAVE_TIMEOUT', 'the enclave did not take the connection in time', { cause });
    }
    throw new RequestError(502, 'ENCLAVE_UNREACHABLE', 'the enclave did not take the connection', { cause });
  }
}
