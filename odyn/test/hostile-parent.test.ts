import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttp, request } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import {
  EGRESS_PORT,
  encodeControl,
  encodeEgress,
  LOG_PORT,
  LogDecoder,
  type LogRecord,
  STATUS_PORT,
} from '@enclaver/wire';
import { limits } from '../src/limits.ts';
import { portOf } from './egress-proxy.ts';
import { FakeParent, freePort, linesOf, readLog, StatusReader, startOdyn } from './harness.ts';

/** Longer than any bound on what odyn reads before it knows what it is. */
const FLOOD = Buffer.concat([randomBytes(64 * 1024), Buffer.alloc(1024 * 1024, 'x')]);

/** One odyn, whose parent does on every port what no parent should, and a client and an app beside it that mean well. */
describe('odyn with a hostile parent', function () {
  this.timeout(60_000);

  let parent: FakeParent;
  let echo: Server;
  let destination: Server;
  let plain: number;
  let told: number;
  let proxy: number;
  let running: Promise<unknown>;
  let log: ReturnType<typeof readLog>;
  let status: StatusReader;
  let answer: (socket: Socket) => void;

  before(async () => {
    parent = await FakeParent.make();
    parent.services.set(EGRESS_PORT, (socket) => answer(socket));
    await parent.listen();
    echo = createServer((socket) => socket.on('error', () => socket.destroy()).pipe(socket));
    plain = await portOf(echo);
    told = await freePort();
    proxy = await freePort();
    destination = createHttp((_, response) => response.end('the real one'));
    await portOf(destination);
    const manifest = [
      'ingress:',
      `  - {listen_port: ${plain}}`,
      `  - {listen_port: ${told}, proxy_protocol: true}`,
      `egress: {proxy_port: ${proxy}, allow: ["**.example"]}`,
      '',
    ].join('\n');
    const app = createServer((socket) => socket.on('error', () => socket.destroy()).pipe(socket));
    app.listen(told, '127.0.0.1');
    await once(app, 'listening');
    const count = 'n=0; while [ $n -lt 2000 ]; do echo line $n; n=$((n+1)); done; exec sleep 1000';
    const { finished } = await startOdyn(parent, { argv: ['/bin/sh', '-c', count], manifest });
    // Connected before others take the places that there are
    const reader = await parent.dial(LOG_PORT);
    log = readLog({ dial: async () => reader });
    await once(reader, 'data');
    running = Promise.all([finished, log]).finally(() => app.close());
    status = await StatusReader.open(parent);
    await Promise.race([status.phase('ready'), status.final().then((end) => assert.fail(JSON.stringify(end)))]);
  });

  after(async () => {
    await parent.close();
    await running;
    echo.close();
    destination.close();
  });

  /** What a client of the plain port sends comes back. */
  async function clientIsServed(): Promise<void> {
    const socket = await parent.dial(plain);
    socket.end('hello');
    assert.equal(await text(socket), 'hello');
  }

  async function send(port: number, bytes: Uint8Array): Promise<Socket> {
    const socket = await parent.dial(port);
    socket.write(bytes);
    return socket.resume();
  }

  /** However it is closed: what was not read of its bytes makes it a reset. */
  const closed = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()));

  async function ask(): Promise<{ code: number | undefined; body: string }> {
    const path = 'http://a.example/';
    const options = { host: '127.0.0.1', port: proxy, path, headers: { host: 'a.example' }, agent: false };
    const asked = request(options).end();
    const [response] = await once(asked, 'response');
    return { code: response.statusCode, body: await text(response) };
  }

  it('bounds who reads status and log, and serves whoever was there before', async () => {
    for (const [port, most] of [
      [STATUS_PORT, limits.statusClients],
      [LOG_PORT, limits.logClients],
    ] as const) {
      const sockets = await Promise.all(Array.from({ length: 3 * most }, () => parent.dial(port)));
      const all = sockets.map((socket) => closed(socket.resume()));
      // One place is that of the reader from before
      const wanted = 2 * most + 1;
      await new Promise<void>((resolve) => {
        let ended = 0;
        for (const socket of sockets) socket.once('close', () => ++ended === wanted && resolve());
      });
      for (const socket of sockets) socket.destroy();
      await Promise.all(all);
    }
    await clientIsServed();
  });

  it('cuts floods, endless lines and other formats on the ports of status and log', async () => {
    const rude = [
      FLOOD,
      Buffer.from('{"command":"stop","graceMs":-1}\n'),
      Buffer.from('{"command":"stop","graceMs":1,"then":"this"}\n'),
      Buffer.from('{"command":"sto'.padEnd(300, 'p')),
    ];
    for (const bytes of rude) await closed(await send(STATUS_PORT, bytes));
    await clientIsServed();
    assert.equal(status.all.at(-1)?.status, 'running');
  });

  it('gives a reader of the log that asks for what will never be what comes from then on, and others theirs', async () => {
    const hello = Buffer.alloc(8, 0xff);
    const never = await parent.dial(LOG_PORT);
    const decoder = new LogDecoder();
    const given: LogRecord[] = [];
    never.on('data', (bytes: Buffer) => given.push(...decoder.push(bytes)));
    never.write(hello);
    const half = await send(LOG_PORT, hello.subarray(0, 3));
    half.end();
    await clientIsServed();
    // A line for all readers
    const come = once(never, 'data');
    await closed(await send(STATUS_PORT, FLOOD));
    await come;
    assert.ok(given.length > 0 && given.every(({ sequence }) => sequence > 0n));
    never.destroy();
  });

  it('closes on what is no PROXY header, whole or in part, and goes on', async () => {
    const cut = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
    for (const bytes of [FLOOD, Buffer.concat([cut, Buffer.of(0x21, 0x11, 0xff, 0xff)])]) {
      await closed(await send(told, bytes));
    }
    const part = await send(told, cut);
    part.end();
    await closed(part);
    await clientIsServed();
  });

  const replies: Record<string, (socket: Socket) => void> = {
    'a frame that says it is longer than any': (socket) => socket.write(Buffer.of(0xff, 0xff, 0x7b)),
    'a frame of no bytes': (socket) => socket.write(Buffer.of(0, 0)),
    'a frame that is cut off': (socket) => socket.end(encodeEgress({ Ok: { address: '192.0.2.1' } }).subarray(0, 5)),
    'something that is no frame, without end': (socket) => socket.write(FLOOD),
    'a reply of a kind that there is not': (socket) => socket.write(Buffer.from('\x0b\0{"Maybe":1}', 'latin1')),
    'an address that is none': (socket) => socket.write(encodeEgress({ Ok: { address: 'over there' } })),
    'an address that a name must not lead to': (socket) =>
      socket.write(encodeEgress({ Ok: { address: '169.254.169.254' } })),
    'the parent itself as the address': (socket) => socket.write(encodeEgress({ Ok: { address: '127.0.0.1' } })),
    'the reply of another, and bytes of a server that was not asked': (socket) =>
      socket.write(
        Buffer.concat([
          encodeEgress({ Err: { os_code: 111, message: 'x'.repeat(2000) } }),
          Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake'),
        ]),
      ),
  };
  for (const [what, reply] of Object.entries(replies)) {
    it(`answers the app with an error for ${what}`, async () => {
      const open = new Set<Socket>();
      answer = (socket) => {
        open.add(socket.on('error', () => socket.destroy()).resume());
        reply(socket);
      };
      const { code, body } = await ask();
      assert.ok(code !== undefined && code >= 400, `${code} ${body}`);
      assert.ok(body.length < 4096);
      for (const socket of open) socket.destroy();
    });
  }

  it('reaches a destination as before, once the parent behaves', async () => {
    const { port } = destination.address() as { port: number };
    answer = (socket) => {
      socket.once('data', () => {
        socket.write(encodeEgress({ Ok: { address: '93.184.216.34' } }));
        const out = connect(port, '127.0.0.1');
        socket.pipe(out).pipe(socket);
      });
      socket.resume();
    };
    assert.deepEqual(await ask(), { code: 200, body: 'the real one' });
  });

  it('has lost no line of the app and ends it as asked, after all that', async () => {
    status.socket.write(encodeControl({ command: 'stop', graceMs: 5_000 }));
    const end = await status.final();
    assert.deepEqual([end.status, 'signal' in end && end.signal], ['signaled', 'SIGTERM']);
    const lines = linesOf(await log, 'stdout');
    assert.deepEqual(
      lines,
      Array.from({ length: 2_000 }, (_, line) => `line ${line}`),
    );
  });
});
