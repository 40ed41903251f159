import type { VsockStream, VsockTransport } from '@enclaver/vsock';
import { decodeLogHello, LOG_HELLO_BYTES, LOG_PORT } from '@enclaver/wire';
import { LastWord } from '../last-word.ts';
import { limits } from '../limits.ts';
import { PortClients } from '../port-clients.ts';
import type { BackPressure } from './back-pressure.ts';
import { endRecord, type LogCursor, type LogRing } from './log-ring.ts';
import type { OdynLog } from './odyn-log.ts';

/** Serves the log on vsock 17001 (`libs/wire`, log.ts), to each reader from where it wants. */
export class LogServer {
  readonly #ring: LogRing;
  readonly #log: OdynLog;
  readonly #backPressure: BackPressure;
  readonly #lastWord = new LastWord(limits.lastWordLingerMs);
  #clients: PortClients | undefined;

  private constructor(ring: LogRing, log: OdynLog, backPressure: BackPressure) {
    this.#ring = ring;
    this.#log = log;
    this.#backPressure = backPressure;
  }

  /** @throws VsockError */
  static async listen(
    transport: VsockTransport,
    ring: LogRing,
    log: OdynLog,
    backPressure: BackPressure,
  ): Promise<LogServer> {
    const server = new LogServer(ring, log, backPressure);
    server.#clients = await PortClients.listen(transport, {
      port: LOG_PORT,
      name: 'log',
      max: limits.logClients,
      log,
      onClient: (stream) => server.#greet(stream),
    });
    return server;
  }

  /** Settled once a reader has had the end of the log. */
  get finished(): Promise<void> {
    return this.#lastWord.done;
  }

  async close(): Promise<void> {
    await this.#clients?.close();
  }

  #greet(stream: VsockStream): void {
    const hello: Buffer[] = [];
    let helloBytes = 0;
    const timer = setTimeout(() => stream.destroy(), limits.logHelloMs);
    stream.once('close', () => clearTimeout(timer));
    stream.on('data', (chunk: Buffer) => {
      helloBytes += chunk.length;
      if (helloBytes > LOG_HELLO_BYTES) {
        this.#log.warn('log reader cut', { reason: 'it sent more than its hello' });
        stream.destroy();
        return;
      }
      hello.push(chunk);
      if (helloBytes < LOG_HELLO_BYTES) return;
      clearTimeout(timer);
      const from = decodeLogHello(Buffer.concat(hello));
      this.#serve(stream, this.#ring.cursor(Number(from)));
    });
  }

  #serve(stream: VsockStream, cursor: LogCursor): void {
    let ended = false;
    const pump = (): void => {
      while (!ended && !stream.destroyed && !stream.writableNeedDrain) {
        const bytes = cursor.take();
        if (bytes !== undefined) {
          stream.write(bytes);
        } else if (this.#ring.ended) {
          ended = true;
          this.#lastWord.send(stream, endRecord(this.#ring.next));
        } else {
          break;
        }
      }
      this.#backPressure.progress();
    };
    const changes = this.#ring.onChange(pump);
    this.#backPressure.add(cursor);
    stream.on('drain', pump);
    stream.once('close', () => {
      changes.stop();
      this.#backPressure.remove(cursor);
    });
    pump();
  }
}
