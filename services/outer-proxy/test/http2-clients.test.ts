import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2, constants, type OutgoingHttpHeaders } from 'node:http2';
import { type AddressInfo, connect, createServer as createRelay, type Socket } from 'node:net';
import { curl, HttpHarness } from './http-harness.ts';

describe('HTTP mode: clients of HTTP/2 that take nothing, or take back what they asked', () => {
  let harness: HttpHarness;
  let opened: Awaited<ReturnType<HttpHarness['publish']>>;
  let port: number;

  beforeEach(async () => {
    harness = await HttpHarness.start({ httpIdleMs: 1_000, httpKeepAliveMs: 1_000, httpRequests: 2 });
    opened = await harness.publish('a', { host: 'a' });
    port = opened.published.port;
  });

  afterEach(async () => {
    await harness[Symbol.asyncDispose]();
  });

  const answers = async (host: string): Promise<void> =>
    assert.match(await curl('-H', `Host: ${host}`, `http://127.0.0.1:${port}/`), / 200 /);

  /** Its streams, each with what it was closed by; none of them takes a byte of a body. */
  const stalled = async (...requests: OutgoingHttpHeaders[]): Promise<Promise<number>[]> => {
    const session = connectHttp2(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 0 } });
    await once(session, 'remoteSettings');
    const answered = requests.map(async (headers) => {
      const stream = session.request(headers, { endStream: headers[':method'] !== 'POST' });
      stream.on('error', () => undefined);
      const closed = new Promise<number>((resolve) => stream.once('close', () => resolve(stream.rstCode ?? 0)));
      await once(stream, 'response');
      return { closed };
    });
    const streams = await Promise.all(answered);
    void Promise.all(streams.map(({ closed }) => closed)).then(() => session.close());
    return streams.map(({ closed }) => closed);
  };

  it('cuts its answers after a time, those in the place of an enclave among them', async () => {
    harness.serve('a', (_incoming, response) => response.end('ok'));
    const held = await stalled({ ':authority': 'a' }, { ':authority': 'a' });
    assert.equal(opened.stats().active, 2);
    const refused = await stalled({ ':authority': 'a' }, { ':authority': 'a', ':method': 'POST' });
    assert.equal(opened.stats().busy, 2);
    for (const closed of [...held, ...refused]) assert.notEqual(await closed, constants.NGHTTP2_NO_ERROR);
    assert.equal(opened.stats().active, 0);
    assert.equal(opened.stats().aborted, 2);
    await answers('a');
  });

  it('cuts its answers with the enclave, on an address that goes on for others', async () => {
    await harness.publish('b', { host: 'b' }, { port });
    for (const id of ['a', 'b']) harness.serve(id, (_incoming, response) => response.end('ok'));
    const held = await stalled({ ':authority': 'a' }, { ':authority': 'a' });
    await opened.close({ drainMs: 0, shared: false });
    for (const closed of held) assert.equal(await closed, constants.NGHTTP2_INTERNAL_ERROR);
    await answers('b');
  });

  it('lets go of its connection, too, when that stands still', async () => {
    harness.serve('a', (_incoming, response) => response.end(Buffer.alloc(64 * 1024 * 1024)));
    const reached = Promise.withResolvers<Socket>();
    // One in between reads the first bytes and no more: the connection stands still, whatever its windows say
    const between = createRelay((client) => {
      const server = connect(port, '127.0.0.1').on('error', () => undefined);
      client.on('error', () => undefined).pipe(server);
      server.on('data', (chunk: Buffer) => {
        client.write(chunk);
        if (opened.stats().active === 0) return;
        server.pause();
        reached.resolve(server);
      });
    }).listen(0, '127.0.0.1');
    await once(between, 'listening');
    const window = 2 ** 31 - 1;
    const session = connectHttp2(`http://127.0.0.1:${(between.address() as AddressInfo).port}`, {
      settings: { initialWindowSize: window },
    });
    session.on('connect', () => session.setLocalWindowSize(window));
    session.on('error', () => undefined);
    session.request({ ':authority': 'a' }).on('error', () => undefined);
    const server = await reached.promise;
    while (opened.stats().active > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(opened.stats().aborted, 1);
    // Whoever writes to a closed connection hears of it; these are pings, so that an open one would stay open
    const pings = setInterval(() => server.write(Buffer.from('0000080600000000000000000000000000', 'hex')), 250);
    await new Promise((resolve) => server.once('close', resolve));
    clearInterval(pings);
    session.destroy();
    between.close();
  });

  it('takes no request of HTTP/2 for whole that its client has taken back without an error', async () => {
    let came = '';
    const [asked, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    harness.serveRaw('a', (socket) => {
      socket.on('error', () => undefined).on('close', () => closed.resolve());
      socket.on('data', (piece: Buffer) => {
        came += piece.toString('latin1');
        if (came.includes('half')) asked.resolve();
      });
    });
    // Frame by frame, since Node's client ends the body first
    const client = connect(port, '127.0.0.1').resume();
    client.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const settings = '000000040000000000';
    const post = '000006010400000001838684410161';
    const half = `000004000000000001${Buffer.from('half').toString('hex')}`;
    client.write(Buffer.from(`${settings}${post}${half}`, 'hex'));
    await asked.promise;
    const reset = '00000403000000000100000000';
    client.write(Buffer.from(reset, 'hex'));
    await closed.promise;
    assert.ok(!came.includes('0\r\n\r\n'), came);
    client.destroy();
  });
});
