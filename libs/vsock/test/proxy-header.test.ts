import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type Endpoint, type ListenAddress, Relay, type RelayRoute } from '../src/index.ts';
import { Bench, bounds, fakeDevice, readAll } from './support.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';

describe('relay: who connects, as the first bytes for the target', () => {
  let bench: Bench;
  let relay: Relay;
  const heard: Promise<Buffer>[] = [];

  beforeEach(async () => {
    bench = new Bench();
    relay = new Relay();
    bench.later(() => relay.close());
    heard.length = 0;
    await bench.serve(bench.path('t'), (socket) => {
      heard.push(readAll(socket).finally(() => socket.end('heard')));
    });
  });
  afterEach(async () => await bench.end());

  const target = (): Endpoint => ({ type: 'unix', path: bench.path('t') });
  const route = async (from: ListenAddress, to = target()): Promise<RelayRoute> =>
    await relay.listen(from, to, { ...bounds, proxyHeader: true });

  /** Sends `text` to the route and gives what the target heard, and the port that it came from. */
  const send = async (to: RelayRoute, host: string, text: string): Promise<{ bytes: string; from: string }> => {
    const client = connect({ host, port: to.address.port as number, allowHalfOpen: true });
    await once(client, 'connect');
    const from = (client.localPort ?? 0).toString(16).padStart(4, '0');
    client.end(text);
    assert.equal((await readAll(client)).toString(), 'heard');
    return { bytes: (await (heard.at(-1) as Promise<Buffer>)).toString('hex'), from };
  };
  const hexPort = (way: RelayRoute): string => (way.address.port as number).toString(16).padStart(4, '0');

  it('TCP over IPv4', async () => {
    const way = await route({ type: 'tcp', host: '127.0.0.1', port: 0 });
    const { bytes, from } = await send(way, '127.0.0.1', 'hello');
    assert.equal(
      bytes,
      `${SIGNATURE}2111000c7f0000017f000001${from}${hexPort(way)}${Buffer.from('hello').toString('hex')}`,
    );
  });

  it('TCP over IPv6, and IPv4 that came to an IPv6 listener as what it is', async () => {
    const way = await route({ type: 'tcp', host: '::', port: 0 });
    const loopback = '00000000000000000000000000000001';
    const six = await send(way, '::1', '');
    assert.equal(six.bytes, `${SIGNATURE}21210024${loopback}${loopback}${six.from}${hexPort(way)}`);
    const four = await send(way, '127.0.0.1', '');
    assert.equal(four.bytes, `${SIGNATURE}2111000c7f0000017f000001${four.from}${hexPort(way)}`);
  });

  it('LOCAL where there is no address', async () => {
    const way = await route({ type: 'unix', path: bench.path('l') });
    const client = await bench.dial(way.address.path as string);
    client.end('x');
    await readAll(client);
    assert.equal((await (heard[0] as Promise<Buffer>)).toString('hex'), `${SIGNATURE}2000000078`);
  });

  it('comes after the CONNECT of a vsock device and before all bytes, of which none is lost', async () => {
    const sent = Buffer.alloc(3_000_000, 'payload ');
    let seen: Promise<Buffer> | undefined;
    const guest = (socket: Socket): void => {
      const chunks: Buffer[] = [];
      let length = 0;
      seen = new Promise((resolve) => {
        socket.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          length += chunk.length;
          if (length < 28 + sent.length) return;
          resolve(Buffer.concat(chunks));
          socket.end('ok');
        });
      });
    };
    await fakeDevice(bench, bench.path('d'), new Map([[80, guest]]));
    const to: Endpoint = { type: 'unix', path: bench.path('d'), connectPort: 80 };
    const way = await route({ type: 'tcp', host: '127.0.0.1', port: 0 }, to);
    const client = connect({ host: '127.0.0.1', port: way.address.port as number });
    client.write(sent);
    assert.equal((await readAll(client)).toString(), 'ok');
    const bytes = (await seen) ?? assert.fail('nothing came');
    assert.equal(bytes.toString('hex', 0, 16), `${SIGNATURE}2111000c`);
    assert.ok(bytes.subarray(28).equals(sent));
    assert.equal(way.stats().bytesIn, 28 + sent.length);
  });

  it('is not sent where it is not asked for', async () => {
    const way = await relay.listen({ type: 'tcp', host: '127.0.0.1', port: 0 }, target(), bounds);
    assert.equal((await send(way, '127.0.0.1', 'plain')).bytes, Buffer.from('plain').toString('hex'));
  });
});
