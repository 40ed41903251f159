import type { EnclaveRecord, PublishedPort } from '@enclaver/bus';
import { HttpFault } from '@enclaver/http-forward';
import { VsockError, type VsockStream, type VsockTransport } from '@enclaver/vsock';
import type { Destination } from '../ingress.ts';
import type { Limits } from '../limits.ts';
import type { OnRequestEnd, RequestOutcome } from './http-metrics.ts';
import { Http1Upstream } from './http1-upstream.ts';
import { RequestError } from './request-error.ts';
import { Running } from './running.ts';
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
  readonly counts = { requests: 0, busy: 0, failed: 0, timedOut: 0, aborted: 0 };
  readonly #image: string;
  readonly #listenPort: number;
  readonly #upstream: Upstream;
  readonly #limits: Limits;
  readonly #onEnd: OnRequestEnd;
  /** Requests and upgraded connections under way. */
  readonly #running = new Set<Running>();
  #idle = Promise.withResolvers<void>();
  #lastAsked = 0;

  static async make(
    { record, transport }: Pick<Destination, 'record' | 'transport'>,
    { listenPort, route }: PublishedPort,
    limits: Limits,
    onEnd: OnRequestEnd,
  ): Promise<Target> {
    const open = (): Promise<VsockStream> => connect(transport, listenPort, limits.ingressConnectMs);
    if (route?.h2c !== true) return new Target(record, listenPort, new Http1Upstream(open), limits, onEnd);
    const { H2cUpstream } = await import('./h2c-upstream.ts');
    return new Target(record, listenPort, new H2cUpstream(open), limits, onEnd);
  }

  private constructor(
    record: EnclaveRecord,
    listenPort: number,
    upstream: Upstream,
    limits: Limits,
    onEnd: OnRequestEnd,
  ) {
    this.#limits = limits;
    this.#onEnd = onEnd;
    this.id = record.id;
    this.name = record.name;
    this.state = stateOf(record);
    this.#image = record.measurements.PCR0;
    this.#listenPort = listenPort;
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
    return other.#image === this.#image && other.#listenPort === this.#listenPort;
  }

  isBefore(other: Target): boolean {
    return this.active - other.active < 0 || (this.active === other.active && this.#lastAsked < other.#lastAsked);
  }

  /**
   * Runs `work` as one request of this enclave: it is bounded, counted, and its signal aborts when the enclave is cut off.
   * @throws RequestError ENCLAVE_NOT_READY, ENCLAVE_BUSY, and what `work` throws
   */
  async run(work: (request: Running) => Promise<void>): Promise<void> {
    if (this.state === 'starting') {
      throw new RequestError(503, 'ENCLAVE_NOT_READY', 'the enclave is not ready yet');
    }
    if (this.active >= this.#limits.httpRequests) {
      this.counts.busy++;
      this.#onEnd(this.name, 'busy', 0);
      throw new RequestError(503, 'ENCLAVE_BUSY', 'the enclave has as many requests as it may');
    }
    const request = new Running(this.#upstream, this.#limits.httpAnswerMs);
    this.#running.add(request);
    this.#lastAsked = ++clock;
    this.counts.requests++;
    const startedAt = performance.now();
    let outcome: Exclude<RequestOutcome, 'busy'> = 'answered';
    try {
      await work(request);
    } catch (error) {
      const fault = request.outcome ?? 'failed';
      outcome = fault;
      this.counts[fault]++;
      throw this.#explained(error, request);
    } finally {
      this.#running.delete(request);
      if (this.active === 0) this.#idle.resolve();
      this.#onEnd(this.name, outcome, (performance.now() - startedAt) / 1000);
    }
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

  #explained(error: unknown, { signal }: Running): unknown {
    if (signal.reason instanceof RequestError) return signal.reason;
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
