import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { limits } from '../limits.ts';
import { type EntryGroup, type Sink, SinkError } from './sink.ts';
import type { SinkTarget } from './sink-spec.ts';
import { syslogMessage } from './syslog-message.ts';

/** Brings whole messages to a receiver, which may cut long ones: some 17 KiB at most. */
interface Transport {
  /** Resolves with the number of messages that cannot be sent at all. Rejects when the receiver is not there. */
  send(messages: readonly Buffer[], signal: AbortSignal): Promise<number>;
  close(): void;
}

/** RFC 5424 messages to a syslog daemon. Neither protocol says what has arrived: what was sent is taken as given. */
export class SyslogSink implements Sink {
  readonly #transport: Transport;
  readonly #where: string;
  readonly #hostname = hostname();

  private constructor(transport: Transport, where: string) {
    this.#transport = transport;
    this.#where = where;
  }

  static async open(target: SinkTarget & { kind: 'syslog' }): Promise<SyslogSink> {
    if (target.transport === 'unix') {
      const { UnixDatagrams } = await import('./unix-datagrams.ts');
      return new SyslogSink(new UnixDatagrams(target.path), target.path);
    }
    const { host, port } = target;
    const transport = target.transport === 'udp' ? new Udp(host, port) : new Tcp(host, port);
    return new SyslogSink(transport, `${host}:${port}`);
  }

  async write(groups: readonly EntryGroup[], signal: AbortSignal): Promise<number> {
    const messages = groups.flatMap(({ entries }) => entries.map((entry) => syslogMessage(entry, this.#hostname)));
    try {
      return await this.#transport.send(messages, signal);
    } catch (error) {
      throw new SinkError(`${this.#where}: ${(error as Error).message}`, { cause: error });
    }
  }

  async close(): Promise<void> {
    this.#transport.close();
  }
}

/** RFC 5426: a message in each datagram. */
class Udp implements Transport {
  readonly #host: string;
  readonly #port: number;
  readonly #socket;

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
    this.#socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    // Nobody listens there: word of that comes with a later message, if at all, and is nothing to rely on
    this.#socket.on('error', () => undefined);
    this.#socket.unref();
  }

  async send(messages: readonly Buffer[]): Promise<number> {
    for (const message of messages) {
      const sent = Promise.withResolvers<void>();
      this.#socket.send(message, this.#port, this.#host, (error) => {
        if (error === null) sent.resolve();
        else sent.reject(error);
      });
      await sent.promise;
    }
    return 0;
  }

  close(): void {
    this.#socket.close();
  }
}

/** RFC 6587, octet counting: messages may hold line ends. */
class Tcp implements Transport {
  readonly #host: string;
  readonly #port: number;
  #socket: Socket | undefined;

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
  }

  async send(messages: readonly Buffer[], signal: AbortSignal): Promise<number> {
    for (let at = 0; at < messages.length; at += limits.syslogBurst) {
      const frames = messages
        .slice(at, at + limits.syslogBurst)
        .flatMap((each) => [Buffer.from(`${each.length} `), each]);
      // A slow receiver gets its time for each burst, so that it comes to the end of them all
      const over = AbortSignal.any([signal, AbortSignal.timeout(limits.syslogTimeoutMs)]);
      await write(await this.#connected(over), Buffer.concat(frames), over);
    }
    return 0;
  }

  close(): void {
    this.#socket?.end();
    this.#socket?.unref();
  }

  async #connected(signal: AbortSignal): Promise<Socket> {
    if (this.#socket !== undefined && !this.#socket.destroyed) return this.#socket;
    const socket = connect({ host: this.#host, port: this.#port, keepAlive: true });
    try {
      await once(socket, 'connect', { signal });
    } catch (error) {
      socket.destroy();
      throw error;
    }
    // Nobody answers in this protocol; a receiver that closes is seen by it
    socket.resume();
    socket.on('end', () => socket.destroy());
    socket.on('error', () => undefined);
    this.#socket = socket;
    return socket;
  }
}

/** Resolves when the system has the bytes. */
async function write(socket: Socket, bytes: Buffer, over: AbortSignal): Promise<void> {
  const written = Promise.withResolvers<void>();
  const cut = (): void => void socket.destroy();
  const broke = (): void => written.reject(new Error('the connection broke, or the receiver takes nothing'));
  over.addEventListener('abort', cut, { once: true });
  socket.once('close', broke);
  socket.write(bytes, (error) => {
    if (error === null || error === undefined) written.resolve();
    else written.reject(error);
  });
  try {
    await written.promise;
  } finally {
    over.removeEventListener('abort', cut);
    socket.off('close', broke);
  }
}
