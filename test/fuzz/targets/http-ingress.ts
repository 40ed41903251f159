import { connect } from 'node:net';
import { type Message, readRequests } from '../../../odyn/test/properties/strict-http.ts';
import { HttpHarness } from '../../../services/outer-proxy/test/http-harness.ts';
import { ByTheLetter } from '../by-the-letter.ts';

const LAST = 'GET /last HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n';

export const seeds = [
  'GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc',
  'PUT /p HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
  'GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, X-A\r\nX-A: 1\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
];

/** HTTP mode before an app that reads by the letter. */
class Bench {
  arrived: Message[] = [];
  isBroken = false;
  readonly port: number;

  private constructor(port: number) {
    this.port = port;
  }

  static async open(): Promise<Bench> {
    const harness = await HttpHarness.start();
    const published = await harness.publish('e-1', { host: 'a.example' });
    const bench = new Bench(published.published.port);
    harness.serveRaw('e-1', (socket) => {
      let text = '';
      let count = 0;
      socket.on('error', () => socket.destroy());
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        const { messages, end } = readRequests(text);
        if (end === 'bad') bench.isBroken = true;
        for (const message of messages.slice(count)) {
          bench.arrived.push(message);
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
        }
        count = messages.length;
        if (end === 'whole') [text, count] = ['', 0];
      });
    });
    return bench;
  }

  async exchange(text: string, quietMs: number): Promise<void> {
    this.arrived = [];
    this.isBroken = false;
    const socket = connect(this.port, '127.0.0.1');
    await new Promise<void>((resolve) => {
      let quiet = setTimeout(() => socket.destroy(), 10 * quietMs);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        clearTimeout(quiet);
        resolve();
      });
      socket.on('data', () => {
        clearTimeout(quiet);
        quiet = setTimeout(() => socket.destroy(), quietMs);
      });
      socket.write(text, 'latin1');
    });
  }
}

/** What has to be the same: method, body, and target, in absolute form without its host (RFC 9112, section 3.2.1). */
function essence({ start: [method, target], body }: Message): string {
  const [, rest = target] = /^http:\/\/[^/?]*(.*)$/i.exec(target) ?? [];
  const path = rest === '' ? (method === 'OPTIONS' ? '*' : '/') : rest.replace(/^\?/, '/?');
  return JSON.stringify([method, path, body]);
}

let opened: Promise<ByTheLetter> | undefined;

/** The outer-proxy's HTTP mode: nothing arrives at an app but requests that were there by the letter, whatever a client sends. */
export async function fuzz(input: Buffer): Promise<void> {
  opened ??= Bench.open().then((bench) => ByTheLetter.open(bench, LAST, essence, seeds[0] ?? ''));
  await (await opened).hold(input);
}
