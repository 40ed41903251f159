import type { EnclaveRecord, PublishedPort } from '@enclaver/bus';
import { HttpFault } from '@enclaver/http-forward';
import { VsockError, type VsockStream, type VsockTransport } from '@enclaver/vsock';
import type { Destination } from '../ingress.ts';
import type { Limits } from '../limits.ts';
import { Http1Upstream } from './http1-upstream.ts';
import type { Answer, Asked } from './message.ts';
import { RequestError } from './request-error.ts';
import type { Upgraded, Upstream } from './upstream.ts';

export type TargetState = 'starting' | 'ready' | 'unhealthy';

/** Orders targets by when they were asked last. */
let clock = 0;

/** One port of one enclave, as the end of routes: bounds and counts what is under way. */
export class Target {
  readonly id: string;
  readonly name: string;
  state: TargetState;
  readonly counts = { requests: 0, busy: 0, failed: 0, timedOut: 0, aborted: 0 };
  readonly #image: string;
  readonly #listenPort: number;
  readonly #upstream: Upstream;
  readonly #limits: Limits;
  /** Requests and upgraded connections under way, each with what ends it. */
  readonly #running = new Set<AbortController>();
  #idle = Promise.withResolvers<void>();
  #lastAsked = 0;

  static async make(
    { record, transport }: Pick<Destination, 'record' | 'transport'>,
    { listenPort, route }: PublishedPort,
    limits: Limits,
  ): Promise<Target> {
    const open = (): Promise<VsockStream> => connect(transport, listenPort, limits.ingressConnectMs);
    if (route?.h2c !== true) return new Target(record, listenPort, new Http1Upstream(open), limits);
    const { H2cUpstream } = await import('./h2c-upstream.ts');
    return new Target(record, listenPort, new H2cUpstream(open), limits);
  }

  private constructor(record: EnclaveRecord, listenPort: number, upstream: Upstream, limits: Limits) {
    this.#limits = limits;
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
      throw new RequestError(503, 'ENCLAVE_BUSY', 'the enclave has as many requests as it may');
    }
    const gone = new AbortController();
    this.#running.add(gone);
    this.#lastAsked = ++clock;
    this.counts.requests++;
    try {
      await work(new Running(this.#upstream, gone, this.#limits.httpAnswerMs));
    } catch (error) {
      throw this.#counted(error, gone.signal);
    } finally {
      this.#running.delete(gone);
      if (this.active === 0) this.#idle.resolve();
    }
  }

  /** Nothing more is asked of it; what runs goes on. */
  retire(): void {
    this.#upstream.close();
  }

  /** Nothing more is asked of it; resolves when what runs has ended, or was cut after `drainMs`. */
  async close(drainMs: number): Promise<void> {
    this.retire();
    if (this.active === 0) return;
    this.#idle = Promise.withResolvers();
    const timer = setTimeout(() => {
      for (const gone of this.#running) gone.abort();
    }, drainMs);
    await this.#idle.promise;
    clearTimeout(timer);
  }

  #counted(error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted && signal.reason instanceof RequestError) {
      this.counts.timedOut++;
      return signal.reason;
    }
    if (signal.aborted) this.counts.aborted++;
    else this.counts.failed++;
    if (error instanceof HttpFault && error.status === 502) {
      return new RequestError(502, 'ENCLAVE_BROKE_OFF', 'the enclave gave no answer that can be read', {
        cause: error,
      });
    }
    return error;
  }
}

/** One request under way. */
export class Running {
  readonly #upstream: Upstream;
  readonly #gone: AbortController;
  readonly #answerMs: number;

  constructor(upstream: Upstream, gone: AbortController, answerMs: number) {
    this.#answerMs = answerMs;
    this.#upstream = upstream;
    this.#gone = gone;
  }

  /** Aborts when the request is to end: the client or the enclave went away, or it took too long. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Ends it: the client went away, or for `reason`, which it is then answered. */
  abort(reason?: RequestError): void {
    this.#gone.abort(reason);
  }

  /** @throws RequestError, HttpFault */
  ask(asked: Asked): Promise<Answer> {
    return this.#inTime(asked, this.#upstream.ask(asked, this.#gone.signal));
  }

  /** @throws RequestError, HttpFault */
  upgrade(asked: Asked, protocol: string): Promise<Upgraded | Answer> {
    return this.#inTime(asked, this.#upstream.upgrade(asked, protocol, this.#gone.signal));
  }

  /** The answer has to begin within its time from the end of the request. */
  async #inTime<T>({ body }: Asked, answered: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const start = (): void => {
      timer = setTimeout(() => {
        this.abort(new RequestError(504, 'ENCLAVE_TIMEOUT', 'the enclave did not answer in time'));
      }, this.#answerMs);
    };
    if (body === undefined || body.readableEnded) start();
    else body.once('end', start);
    try {
      return await answered;
    } finally {
      body?.off('end', start);
      clearTimeout(timer);
    }
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
