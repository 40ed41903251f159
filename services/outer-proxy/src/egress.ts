import type { Relay, StreamPort, VsockStream } from '@enclaver/vsock';
import { EGRESS_PORT, type EgressReply, type EgressRequest, EgressRequestDecoder, encodeEgress } from '@enclaver/wire';
import type { Logger } from 'pino';
import { dial } from './dial.ts';
import type { Destination } from './ingress.ts';
import { limits } from './limits.ts';

/** Counters of one enclave's egress since its start. */
export interface EgressStats {
  active: number;
  accepted: number;
  refused: number;
  failed: number;
}

/**
 * Dials for one enclave. Each connection says in one bounded, timed frame where it wants to go; after our reply its bytes
 * pass natively. The enclave may be hostile, too: it gets a bounded number of connections and nothing else of ours.
 */
export class Egress {
  readonly #relay: Relay;
  readonly #logger: Logger;
  readonly #cut = new AbortController();
  readonly #connections = new Set<Promise<void>>();
  readonly #stats = { accepted: 0, refused: 0, failed: 0 };
  readonly #from: Pick<Destination, 'transport' | 'group'>;
  #listener: StreamPort | undefined;

  private constructor(relay: Relay, from: Pick<Destination, 'transport' | 'group'>, logger: Logger) {
    this.#relay = relay;
    this.#from = from;
    this.#logger = logger;
  }

  /** `descriptor`: the listening socket of another outer-proxy, to go on with. */
  static async open(
    relay: Relay,
    from: Pick<Destination, 'transport' | 'group'>,
    { logger, descriptor }: { logger: Logger; descriptor?: number | undefined },
  ): Promise<Egress> {
    const egress = new Egress(relay, from, logger);
    const accept = (stream: VsockStream): void => egress.#accept(stream);
    egress.#listener = await from.transport.listen(EGRESS_PORT, accept, { descriptor });
    return egress;
  }

  get descriptor(): number {
    return this.#listener?.descriptor ?? -1;
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
  }

  #accept(stream: VsockStream): void {
    // Without a listener an error would end the process; what happens to a broken stream is decided where it is read
    stream.on('error', (error) => this.#logger.debug({ err: error }, 'egress stream broke'));
    if (this.#connections.size >= limits.egressConnections) {
      this.#stats.refused++;
      stream.destroy();
      return;
    }
    this.#stats.accepted++;
    const connection = this.#serve(stream)
      .catch((error: unknown) => {
        this.#stats.failed++;
        this.#logger.warn({ err: error }, 'egress connection failed');
        stream.destroy();
      })
      .finally(() => this.#connections.delete(connection));
    this.#connections.add(connection);
  }

  async #serve(stream: VsockStream): Promise<void> {
    const { message: request, rest } = await readRequest(stream, this.#cut.signal);
    const dialled = await dial(request, this.#cut.signal);
    if ('error' in dialled) {
      this.#stats.failed++;
      this.#logger.info({ host: request.host, port: request.port, reply: dialled.error }, 'egress target not reached');
      await lastWord(stream, encodeEgress(dialled.error));
      return;
    }
    const { socket, address } = dialled;
    const reply: EgressReply = request.report === true ? { Ok: { address } } : 'Ok';
    const result = await this.#relay.join(
      { stream, head: rest },
      { stream: socket, head: encodeEgress(reply) },
      { idleTimeoutMs: limits.idleMs, signal: this.#cut.signal, group: this.#from.group, egress: true },
    );
    this.#logger.debug({ host: request.host, port: request.port, address, ...result }, 'egress connection ended');
  }
}

/** Sends it and waits for the enclave to close, too; one that does not is cut, so that it holds no descriptor of ours. */
async function lastWord(stream: VsockStream, bytes: Buffer): Promise<void> {
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
