import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { unixTransport, type VsockStream, type VsockTransport } from '../src/index.ts';
import { Bench, fakeDevice, readAll, readSlowly, until, writeSlowly } from './support.ts';

describe('unix transport: streams', () => {
  let bench: Bench;
  let transport: VsockTransport;
  beforeEach(() => {
    bench = new Bench();
    transport = unixTransport({ path: bench.path('vm.vsock') });
  });
  afterEach(async () => await bench.end());

  it('carries bytes both ways to a guest listener', async () => {
    await fakeDevice(bench, bench.path('vm.vsock'), new Map([[5005, (socket) => socket.pipe(socket)]]));
    const stream = await transport.connect(5005);
    assert.equal(stream.peerCid, undefined);
    stream.write('hello');
    const [data] = await once(stream, 'data');
    assert.equal(String(data), 'hello');
    stream.destroy();
  });

  it('says CONNECT_REFUSED where no guest listens, and where there is no device', async () => {
    await fakeDevice(bench, bench.path('vm.vsock'), new Map());
    await assert.rejects(transport.connect(1), { code: 'CONNECT_REFUSED' });
    await assert.rejects(unixTransport({ path: bench.path('nothing') }).connect(1), { code: 'CONNECT_REFUSED' });
  });

  it('says CONNECT_TIMEOUT when the device never answers', async () => {
    await bench.serve(bench.path('vm.vsock'), () => {});
    await assert.rejects(transport.connect(1, { timeoutMs: 50 }), { code: 'CONNECT_TIMEOUT' });
  });

  it('stops connecting at an abort, before and during', async () => {
    let closed = 0;
    await bench.serve(bench.path('vm.vsock'), (socket) =>
      socket
        .resume()
        .once('close', () => closed++)
        .once('end', () => socket.end()),
    );
    await assert.rejects(transport.connect(1, { signal: AbortSignal.abort() }), { code: 'CANCELLED' });
    const controller = new AbortController();
    const opening = transport.connect(1, { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await assert.rejects(opening, { code: 'CANCELLED' });
    await until('the device sees the close', () => closed === 1);
  });

  it('waits for room in a full queue of a Unix listener', async () => {
    const path = bench.path('vm.vsock');
    const { addon } = await import('../src/addon.ts');
    const { sockaddr } = await import('../src/address.ts');
    // A listener that takes nobody and has room for one: the second connect gets EAGAIN.
    const fd = addon().socketListen(sockaddr({ type: 'unix', path }), 0, null, false);
    const poll = addon().pollCreate(fd, () => {});
    const first = transport.connect(1, { timeoutMs: 60 });
    const second = transport.connect(1, { timeoutMs: 60 });
    await assert.rejects(first, { code: 'CONNECT_TIMEOUT' });
    await assert.rejects(second, { code: 'CONNECT_TIMEOUT' });
    assert.notEqual(typeof poll, 'number');
    if (typeof poll !== 'number') addon().pollClose(poll);
  });

  it('takes streams from the guest at <path>_<port>, over a stale socket file', async () => {
    const path = `${bench.path('vm.vsock')}_17002`;
    const stale = await bench.serve(path, () => {});
    assert.ok(existsSync(path));
    const got = Promise.withResolvers<VsockStream>();
    const listener = await transport.listen(17002, got.resolve);
    const guest = await bench.dial(path);
    guest.end('from the guest');
    const stream = await got.promise;
    assert.equal((await readAll(stream)).toString(), 'from the guest');
    stream.destroy();
    await listener.close();
    await listener.close();
    assert.ok(!existsSync(path));
    stale.close();
  });

  it('takes streams from the guest as sockets of Node, and leaves no descriptor behind', async () => {
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    const got = Promise.withResolvers<Socket>();
    const listener = await transport.listenSockets(17002, got.resolve);
    const guest = await bench.dial(`${bench.path('vm.vsock')}_17002`);
    guest.write('from the guest');
    const socket = await got.promise;
    assert.ok(socket instanceof Socket);
    assert.equal(String((await once(socket, 'data'))[0]), 'from the guest');
    socket.end('to the guest');
    assert.equal((await readAll(guest)).toString(), 'to the guest');
    guest.destroy();
    socket.destroy();
    await once(socket, 'close');
    await listener.close();
    await until('all descriptors are closed', () => descriptors() === before);
  });

  it('does not remove a file that is no socket, nor the socket of a successor', async () => {
    const path = `${bench.path('vm.vsock')}_1`;
    writeFileSync(path, 'precious');
    await assert.rejects(
      transport.listen(1, () => {}),
      { code: 'ADDRESS_IN_USE' },
    );
    const first = await transport.listen(2, () => {});
    const second = await transport.listen(2, () => {});
    await first.close();
    assert.ok(existsSync(`${bench.path('vm.vsock')}_2`));
    await second.close();
  });

  it('moves 20 MB each way at once with pauses, byte for byte', async () => {
    const sent = new Map<string, Promise<string>>();
    const read = new Map<string, Promise<{ length: number; hash: string }>>();
    await transport
      .listen(7, (stream) => {
        // Neither side ends before it has all: across a vsock device the first end is the end of both
        sent.set('host', writeSlowly(stream, 20e6, false));
        read.set('host', readSlowly(stream, 20e6));
      })
      .then((listener) => bench.later(() => listener.close()));
    const guest = await bench.dial(`${bench.path('vm.vsock')}_7`);
    const fromHost = readSlowly(guest, 20e6);
    const fromGuest = await writeSlowly(guest, 20e6, false);
    assert.deepEqual(await read.get('host'), { length: 20e6, hash: fromGuest });
    assert.deepEqual(await fromHost, { length: 20e6, hash: await sent.get('host') });
  });

  it('holds back a writer whose reader is slow', async () => {
    const got = Promise.withResolvers<VsockStream>();
    const listener = await transport.listen(8, got.resolve);
    bench.later(() => listener.close());
    const guest = await bench.dial(`${bench.path('vm.vsock')}_8`);
    guest.pause();
    const stream = await got.promise;
    let written = 0;
    while (stream.write(Buffer.alloc(65536))) written += 65536;
    for (let i = 0; i < 50 && stream.writableLength > 0; i++) await sleep(2);
    assert.ok(stream.writableLength > 0, 'the kernel took more than a socket buffer');
    assert.ok(written < 1e6);
    guest.destroy();
    const [error] = (await once(stream, 'error')) as [{ code: string; errno: number }];
    assert.equal(error.code, 'STREAM_FAILED');
    assert.ok(error.errno > 0);
  });

  it('reads all that a peer said before it closed with unread bytes', async () => {
    const got = Promise.withResolvers<VsockStream>();
    const listener = await transport.listen(10, got.resolve);
    bench.later(() => listener.close());
    const guest = await bench.dial(`${bench.path('vm.vsock')}_10`);
    guest.pause();
    const stream = await got.promise;
    stream.on('error', () => stream.destroy());
    let length = 0;
    stream.write('nobody reads this');
    guest.write(Buffer.alloc(2e6), () => guest.destroy());
    stream.on('data', (data: Buffer) => {
      length += data.length;
    });
    await once(stream, 'close');
    assert.equal(length, 2e6);
  });

  it('rejects a write that was under way when the stream is destroyed', async () => {
    const got = Promise.withResolvers<VsockStream>();
    const listener = await transport.listen(9, got.resolve);
    bench.later(() => listener.close());
    const guest = await bench.dial(`${bench.path('vm.vsock')}_9`);
    guest.pause();
    const stream = await got.promise;
    const written = new Promise((resolve) => stream.write(Buffer.alloc(4e6), resolve));
    stream.destroy();
    assert.equal(((await written) as { code: string }).code, 'STREAM_CLOSED');
  });
});
