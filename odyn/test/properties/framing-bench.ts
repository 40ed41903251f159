import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { EgressProxy, portOf } from '../egress-proxy.ts';
import { FakeParent } from '../harness.ts';
import { type Message, readRequests, valuesOf } from './strict-http.ts';

/** A client that waits this long for an answer gets none: the proxy waits for the rest of a body. */
const QUIET_MS = 40;

/** What the proxy says for one connection only, or by itself. */
const OWN = [
  'connection',
  'keep-alive',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'host',
  'expect',
  'http2-settings',
];

/** What has to arrive of a request, however it travels. */
export function essence({ start: [method, target], headers, body }: Message): string {
  const listed = valuesOf({ headers }, 'connection').flatMap((value) => value.toLowerCase().split(/[\t ]*,[\t ]*/));
  const path = target
    .replace(/^http:\/\/[^/?]*/i, '')
    .replace(/^(?=\?|$)/, method === 'OPTIONS' && !/[/?]/.test(target.slice(7)) ? '*' : '/');
  const passed = headers.filter(([name]) => !OWN.includes(name) && !listed.includes(name));
  return JSON.stringify([method, path, passed, body]);
}

/** The egress proxy between a client that sends anything and a server that reads by the letter. */
export class FramingBench {
  /** Whole requests that arrived at the server, and whether anything arrived that was none. */
  arrived: Message[] = [];
  isBroken = false;
  reply: (request: Message) => string = echo;
  /** The server closes after its first answer. */
  closes = false;
  readonly #parent: FakeParent;
  readonly #server: Server;
  #opened: EgressProxy | undefined;

  private constructor(parent: FakeParent) {
    this.#parent = parent;
    // What this server cannot read shows that the proxy has sent something doubtful
    this.#server = createServer((socket) => {
      let text = '';
      let count = 0;
      socket.setEncoding('latin1');
      socket.on('error', () => socket.destroy());
      socket.on('data', (chunk: string) => {
        text += chunk;
        const { messages, end } = readRequests(text);
        if (end === 'bad') this.isBroken = true;
        for (const message of messages.slice(count)) {
          this.arrived.push(message);
          socket.write(this.reply(message), 'latin1');
          if (this.closes) socket.end();
        }
        count = messages.length;
        // A kept connection brings thousands: what has been read is not read again with each
        if (end === 'whole') [text, count] = ['', 0];
      });
    });
  }

  static async open(): Promise<FramingBench> {
    const parent = await FakeParent.make();
    await parent.listen();
    const bench = new FramingBench(parent);
    const to = await portOf(bench.#server);
    parent.answer = () => ({ reply: { Ok: { address: '93.184.216.34' } }, to });
    bench.#opened = await EgressProxy.open(parent, { allow: ['**.example'], deny: ['evil.example'] });
    return bench;
  }

  async close(): Promise<void> {
    await this.#opened?.close();
    await this.#parent.close();
    this.#server.close();
  }

  /** Sends bytes as they are; gives all that comes back until the proxy closes, or says nothing more. */
  async exchange(text: string, quietMs = QUIET_MS): Promise<string> {
    this.arrived = [];
    this.isBroken = false;
    const socket = connect({ port: this.#opened?.egress.port ?? 0, host: '127.0.0.1' });
    let got = '';
    let quiet = setTimeout(() => socket.end(), 10 * quietMs);
    socket.setEncoding('latin1');
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: string) => {
      got += chunk;
      clearTimeout(quiet);
      quiet = setTimeout(() => socket.end(), quietMs);
    });
    socket.write(text, 'latin1');
    await once(socket, 'close');
    clearTimeout(quiet);
    return got;
  }
}

/** Gives back what was asked, in a header and as the body. */
export function echo(message: Message): string {
  const text = message.start[0] === 'HEAD' ? '' : essence(message);
  return `HTTP/1.1 200 OK\r\nX-Asked: ${Buffer.from(essence(message), 'latin1').toString('base64url')}\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
}
