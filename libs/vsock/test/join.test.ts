import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Endpoint, Relay, type RelayResult, unixTransport, type VsockStream } from '../src/index.ts';
import { Bench, fakeDevice, portOf, readAll, readSlowly, until, writeSlowly } from './support.ts';

describe('relay: joined streams', () => {
  let bench: Bench;
  let relay: Relay;
  beforeEach(() => {
    bench = new Bench();
    relay = new Relay();
    bench.later(() => relay.close());
  });
  afterEach(async () => await bench.end());

  const echo = async (): Promise<Endpoint> => {
    await bench.serve(bench.path('echo'), (socket) => socket.pipe(socket));
    return { type: 'unix', path: bench.path('echo') };
  };
  /** A connected pair: what JavaScript accepted, and the far end. */
  const pair = async (name: string): Promise<{ near: Socket; far: Socket }> => {
    const got = Promise.withResolvers<Socket>();
    await bench.serve(bench.path(name), got.resolve);
    const far = await bench.dial(bench.path(name));
    return { near: await got.promise, far };
  };

  it('moves 50 MB each way between two sockets that JavaScript had opened', async function () {
    this.timeout(60_000);
    const [a, b] = [await pair('a'), await pair('b')];
    const result = relay.join({ stream: a.near }, { stream: b.near });
    const [toB, toA] = [readSlowly(b.far), readSlowly(a.far)];
    const [fromA, fromB] = await Promise.all([writeSlowly(a.far, 50e6), writeSlowly(b.far, 50e6)]);
    assert.deepEqual(await toB, { length: 50e6, hash: fromA });
    assert.deepEqual(await toA, { length: 50e6, hash: fromB });
    assert.deepEqual(await result, { bytesAToB: 50e6, bytesBToA: 50e6, reason: 'closed' });
    assert.ok(a.near.destroyed && b.near.destroyed);
  });

  it('says so when an end breaks before what JavaScript wrote to it is on its way', async () => {
    const [a, b] = [await pair('a'), await pair('b')];
    a.near.on('error', () => undefined);
    a.near.write(Buffer.alloc(8e6));
    assert.ok(a.near.writableLength > 0);
    const joined = relay.join({ stream: a.near }, { stream: b.near });
    a.far.destroy();
    await assert.rejects(joined, { code: 'STREAM_CLOSED' });
  });

  it('delivers heads, read-ahead of the streams, and what was written before, in order', async () => {
    const [a, b] = [await pair('a'), await pair('b')];
    a.near.on('readable', () => {}); // makes Node read ahead
    a.far.write('second ');
    await until('it was read ahead', () => a.near.readableLength === 7);
    const big = Buffer.alloc(3e6, 'w');
    b.near.write(big); // more than the kernel takes at once
    assert.ok(b.near.writableLength > 0);
    const result = relay.join(
      { stream: a.near, head: Buffer.from('first ') },
      { stream: b.near, head: Buffer.from('hi') },
    );
    const read = readAll(b.far);
    a.far.end('third');
    const all = await read;
    assert.ok(all.subarray(0, big.length).equals(big));
    assert.equal(all.subarray(big.length).toString(), 'first second third');
    b.far.end();
    assert.equal((await readAll(a.far)).toString(), 'hi');
    assert.equal((await result).reason, 'closed');
  });

  it('leaves to the relay what comes while it dials, also after a hand-over in the very turn that told of bytes', async () => {
    const a = await pair('a');
    let got = '';
    await bench.serve(bench.path('slow'), (socket) => {
      socket.once('data', () => {
        socket.on('data', (bytes) => {
          got += bytes;
        });
        setTimeout(() => socket.write('OK 1\n'), 100);
      });
    });
    const connect = { type: 'unix', path: bench.path('slow'), connectPort: 1 } as const;
    a.near.on('data', (head) => void relay.join({ stream: a.near, head }, { connect, timeoutMs: 5_000 }));
    a.far.write('first ');
    await sleep(50);
    a.far.write('second');
    await until('all has come', () => got === 'first second');
  });

  it('takes 2,000 HTTP CONNECTs over with early data, each byte-exact', async function () {
    this.timeout(60_000);
    const target = await echo();
    const results: Promise<RelayResult>[] = [];
    const server = createServer();
    server.on('connect', (_request: IncomingMessage, socket: Socket, head: Buffer) => {
      const reply = Buffer.from('HTTP/1.1 200 OK\r\n\r\n');
      results.push(relay.join({ stream: socket, head }, { connect: target, timeoutMs: 5000, head: reply }));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    bench.later(() => server.close());
    const port = portOf(server);
    const one = async (i: number): Promise<void> => {
      const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      const early = `${i}:${'e'.repeat(i % 3 === 0 ? 0 : i * 7)}`;
      client.write(`CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n${early}`);
      // Further bytes reach the server before, while and after the stream changes hands.
      for (let k = 0; k < i % 4; k++) {
        client.write(`|${k}`);
        await sleep(0);
      }
      client.end('|end');
      const tail = Array.from({ length: i % 4 }, (_, k) => `|${k}`).join('');
      assert.equal((await readAll(client)).toString(), `HTTP/1.1 200 OK\r\n\r\n${early}${tail}|end`);
    };
    for (let i = 0; i < 2000; i += 100) await Promise.all(Array.from({ length: 100 }, (_, k) => one(i + k)));
    for (const result of await Promise.all(results)) assert.equal(result.reason, 'closed');
    assert.equal(results.length, 2000);
  });

  it('gives the stream back unharmed when the address cannot be reached', async () => {
    const { near, far } = await pair('a');
    near.on('readable', () => {});
    far.write('early');
    await until('it was read ahead', () => near.readableLength === 5);
    const missing: Endpoint = { type: 'unix', path: bench.path('missing') };
    const result = await relay.join({ stream: near }, { connect: missing, timeoutMs: 1000 });
    assert.equal(result.reason, 'connect-failed');
    assert.ok((result.errno ?? 0) > 0);
    far.end(' late');
    assert.equal((await readAll(near)).toString(), 'early late');
    near.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    assert.equal((await readAll(far)).toString(), 'HTTP/1.1 502 Bad Gateway\r\n\r\n');
  });

  it('joins a vsock stream with an address, both ways', async () => {
    const target = await echo();
    const transport = unixTransport({ path: bench.path('vm') });
    const got = Promise.withResolvers<VsockStream>();
    const listener = await transport.listen(17002, got.resolve);
    bench.later(() => listener.close());
    const guest = await bench.dial(`${bench.path('vm')}_17002`);
    guest.write('first');
    const stream = await got.promise;
    const [head] = (await once(stream, 'data')) as [Buffer];
    const result = relay.join({ stream, head }, { connect: target, timeoutMs: 1000 });
    const read = readAll(guest);
    guest.end(' second');
    assert.equal((await read).toString(), 'first second');
    assert.deepEqual(await result, { bytesAToB: 12, bytesBToA: 12, reason: 'closed' });
  });

  it('dials both ends when both are addresses', async () => {
    await fakeDevice(bench, bench.path('d'), new Map([[1, (socket) => socket.write('from the guest')]]));
    const got = Promise.withResolvers<Buffer>();
    await bench.serve(bench.path('x'), (socket) => socket.once('data', got.resolve));
    const controller = new AbortController();
    const result = relay.join(
      { connect: { type: 'unix', path: bench.path('d'), connectPort: 1 }, timeoutMs: 1000 },
      { connect: { type: 'unix', path: bench.path('x') }, timeoutMs: 1000 },
      { signal: controller.signal },
    );
    assert.equal((await got.promise).toString(), 'from the guest');
    controller.abort();
    assert.deepEqual(await result, { bytesAToB: 14, bytesBToA: 0, reason: 'cancelled' });
  });

  it('ends as idle, cancelled, reset', async () => {
    const idle = [await pair('a'), await pair('b')] as const;
    const first = await relay.join({ stream: idle[0].near }, { stream: idle[1].near }, { idleTimeoutMs: 50 });
    assert.equal(first.reason, 'idle');

    const cut = [await pair('c'), await pair('d')] as const;
    const controller = new AbortController();
    const second = relay.join({ stream: cut[0].near }, { stream: cut[1].near }, { signal: controller.signal });
    cut[0].far.write('x');
    await once(cut[1].far, 'data');
    controller.abort();
    assert.deepEqual(await second, { bytesAToB: 1, bytesBToA: 0, reason: 'cancelled' });

    const gone = await pair('e');
    const never = await relay.join(
      { stream: gone.near },
      { connect: await echo(), timeoutMs: 9 },
      { signal: AbortSignal.abort() },
    );
    assert.equal(never.reason, 'cancelled');
    assert.ok(gone.near.destroyed);

    const server = await bench.serve(0, (socket) => socket.once('data', () => socket.resetAndDestroy()));
    const broken = await pair('f');
    const connectTo: Endpoint = { type: 'tcp', host: '127.0.0.1', port: portOf(server) };
    const third = relay.join({ stream: broken.near }, { connect: connectTo, timeoutMs: 1000 });
    broken.far.write('x');
    assert.equal((await third).reason, 'reset');
  });

  it('times out, and is cancelled, while it dials', async () => {
    await bench.serve(bench.path('silent'), () => {});
    const silent: Endpoint = { type: 'unix', path: bench.path('silent'), connectPort: 1 };
    const first = await pair('a');
    const late = await relay.join({ stream: first.near }, { connect: silent, timeoutMs: 50 });
    assert.equal(late.reason, 'connect-failed');
    assert.ok(!first.near.destroyed);
    const second = await pair('b');
    const controller = new AbortController();
    const cancelled = relay.join(
      { stream: second.near },
      { connect: silent, timeoutMs: 5000 },
      { signal: controller.signal },
    );
    setTimeout(() => controller.abort(), 20);
    assert.equal((await cancelled).reason, 'cancelled');
    assert.equal((await readAll(second.far)).length, 0);
  });

  it('refuses streams it cannot take', async () => {
    const to = { connect: await echo(), timeoutMs: 1000 };
    await assert.rejects(relay.join({ stream: new PassThrough() }, to), { code: 'STREAM_UNSUPPORTED' });
    const { near } = await pair('a');
    near.setEncoding('utf8');
    await assert.rejects(relay.join({ stream: near }, to), { code: 'STREAM_UNSUPPORTED' });
    const closed = await pair('b');
    closed.near.destroy();
    await assert.rejects(relay.join({ stream: closed.near }, to), { code: 'STREAM_CLOSED' });
    const opening = connect(bench.path('b'));
    await assert.rejects(relay.join({ stream: opening }, to), { code: 'STREAM_BUSY' });
    opening.destroy();
    const fine = await pair('c');
    await assert.rejects(relay.join({ stream: fine.near }, { stream: new PassThrough() }), {
      code: 'STREAM_UNSUPPORTED',
    });
    assert.ok(!fine.near.destroyed);
    await assert.rejects(relay.join({ stream: fine.near }, { ...to, timeoutMs: 0 }), { code: 'OPTION_INVALID' });
  });

  it('tells the ends of more pairs than one call has room for, whose numbers were used before', async () => {
    const target = await echo();
    const accepted: Socket[] = [];
    await bench.serve(bench.path('many'), (socket) => accepted.push(socket));
    const join = async (count: number, signal?: AbortSignal): Promise<Promise<RelayResult>[]> => {
      await Promise.all(Array.from({ length: count }, () => bench.dial(bench.path('many'))));
      await until('all were accepted', () => accepted.length === count);
      const to = { connect: target, timeoutMs: 5000 };
      return accepted.splice(0).map((stream) => relay.join({ stream }, to, signal ? { signal } : {}));
    };
    const cut = new AbortController();
    const first = await join(20, cut.signal);
    cut.abort();
    await Promise.all(first);
    const second = await join(300);
    await relay.close();
    for (const end of [...first, ...second]) assert.equal((await end).reason, 'cancelled');
  });

  it('goes on while the process starts children, whose descriptors share the sockets for a moment', async function () {
    this.timeout(90_000);
    const target = await echo();
    const server = await bench.serve(0, (socket) => {
      relay.join({ stream: socket }, { connect: target, timeoutMs: 5000 }).catch(() => socket.destroy());
    });
    let children = 0;
    const starter = setInterval(() => {
      if (children > 1) return;
      children++;
      spawn('/bin/true').on('exit', () => children--);
    }, 2);
    bench.later(() => clearInterval(starter));
    for (let i = 0; i < 100; i++) {
      const client = await bench.dial(portOf(server));
      client.end(`n${i}`);
      assert.equal((await readAll(client)).toString(), `n${i}`);
    }
    clearInterval(starter);
    await until('the children are gone', () => children === 0);
  });
});
