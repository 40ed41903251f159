import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type ConnectionEnd, type Endpoint, type ListenAddress, Relay, type RelayRoute } from '../src/index.ts';
import { Bench, bounds, readAll, until } from './support.ts';

const loopback: ListenAddress = { type: 'tcp', host: '127.0.0.1', port: 0 };
const MIB = 1024 * 1024;

describe('relay: groups and what becomes of a route', () => {
  let bench: Bench;
  let relay: Relay;
  let target: Endpoint & { path: string };
  beforeEach(() => {
    bench = new Bench();
    relay = new Relay();
    bench.later(() => relay.close());
    target = { type: 'unix', path: bench.path('t') };
  });
  afterEach(async () => await bench.end());

  const dial = async (to: RelayRoute): Promise<Socket> =>
    await bench.dial(to.address.path ?? (to.address.port as number));
  const textFrom = async (to: RelayRoute): Promise<string> => (await readAll(await dial(to))).toString();

  it('bounds the connections of all routes of a group together, and no other’s', async () => {
    await bench.serve(target.path, (socket) => socket.pipe(socket));
    const group = relay.group({ maxConnections: 2 });
    const one = await relay.listen(loopback, target, { ...bounds, group });
    const two = await relay.listen(loopback, target, { ...bounds, group });
    const other = await relay.listen(loopback, target, bounds);
    const first = await dial(one);
    await dial(two);
    await until('two are open', () => one.stats().active + two.stats().active === 2);
    assert.equal(await textFrom(two), '');
    assert.equal(two.stats().refused, 1);
    const free = await dial(other);
    free.write('free');
    assert.equal(String((await once(free, 'data'))[0]), 'free');
    first.destroy();
    await until('there is room again', () => one.stats().active === 0);
    const next = await dial(two);
    next.write('next');
    assert.equal(String((await once(next, 'data'))[0]), 'next');
  });

  it('bounds the new connections of a group', async () => {
    await bench.serve(target.path, (socket) => socket.end('served'));
    const group = relay.group({ maxConnections: 100, rate: { perSecond: 1, burst: 2 } });
    const one = await relay.listen(loopback, target, { ...bounds, group });
    const two = await relay.listen(loopback, target, { ...bounds, group });
    assert.deepEqual([await textFrom(one), await textFrom(two)], ['served', 'served']);
    const begun = performance.now();
    let served = 0;
    for (let i = 0; i < 10; i++) if ((await textFrom(i % 2 === 0 ? one : two)) === 'served') served++;
    assert.ok(served <= Math.ceil((performance.now() - begun) / 1000));
    assert.equal(one.stats().rateLimited + two.stats().rateLimited, 10 - served);
  });

  it('lets no more bytes through than the rate of a group, and loses none', async () => {
    const bytes = Buffer.alloc(2 * MIB, 'x');
    await bench.serve(target.path, (socket) => socket.end(bytes));
    const group = relay.group({ maxConnections: 100, bytesPerSecond: { routes: 2 * MIB } });
    const way = await relay.listen(loopback, target, { ...bounds, group });
    const begun = performance.now();
    const both = await Promise.all([readAll(await dial(way)), readAll(await dial(way))]);
    const seconds = (performance.now() - begun) / 1000;
    assert.ok(both.every((all) => all.equals(bytes)));
    // 4 MiB at 2 MiB/s, less what may pass at once
    assert.ok(seconds > 1.5, `${seconds} s`);
  });

  it('says how long it has worked for a group', async () => {
    await bench.serve(target.path, (socket) => socket.end(Buffer.alloc(MIB)));
    const [one, other] = [relay.group({ maxConnections: 10 }), relay.group({ maxConnections: 10 })];
    assert.equal(
      (await readAll(await dial(await relay.listen(loopback, target, { ...bounds, group: one })))).length,
      MIB,
    );
    const { busySeconds } = one.stats();
    assert.ok(busySeconds > 0 && busySeconds < 1, `${busySeconds}`);
    assert.equal(other.stats().busySeconds, 0);
  });

  it('counts the rates of routes and of egress apart', async () => {
    await bench.serve(target.path, (socket) => socket.end(Buffer.alloc(MIB)));
    const server = await bench.serve(0, (socket) => socket.pipe(socket));
    const group = relay.group({ maxConnections: 10, bytesPerSecond: { routes: 1024 } });
    const slow = await relay.listen(loopback, target, { ...bounds, group });
    const waiting = await dial(slow);
    await until('the slow one has used up its rate', () => slow.stats().bytesOut > 1024);
    const [end, other] = await Promise.all([bench.dial((server.address() as { port: number }).port), pair(bench)]);
    const joined = relay.join({ stream: other.inner }, { stream: end }, { group, egress: true });
    other.outer.write(Buffer.alloc(MIB));
    other.outer.end();
    assert.equal((await readAll(other.outer)).length, MIB);
    assert.equal((await joined).reason, 'closed');
    assert.ok(slow.stats().bytesOut < MIB);
    waiting.destroy();
  });

  it('holds the buffers of a group’s egress connections from the 65th on, and more so from the 513th', async () => {
    const bytes = Buffer.alloc(4 * MIB);
    const server = await bench.serve(0, (socket) => socket.write(bytes));
    const silent = await bench.serve(0, () => {});
    const portOf = (of: typeof server): number => (of.address() as AddressInfo).port;
    const group = relay.group({ maxConnections: 1 });
    const ports: number[] = [];
    const add = async (to: typeof server): Promise<Socket> => {
      const { inner, outer } = await pair(bench, `pair-${ports.length}`);
      const end = await bench.dial(portOf(to));
      ports.push(end.localPort as number);
      void relay.join({ stream: inner }, { stream: end }, { group, egress: true });
      return outer;
    };
    const addRead = async (): Promise<void> => {
      const outer = await add(server);
      let read = 0;
      outer.on('data', (part: Buffer) => {
        read += part.length;
      });
      outer.resume();
      await until('all is read', () => read === bytes.length);
    };
    await addRead();
    while (ports.length < 64) await add(silent);
    await addRead();
    await addRead();
    while (ports.length < 512) await add(silent);
    await addRead();
    const sent = (): number => group.stats().egressBytesOut - 4 * bytes.length;
    await until('all that is read is counted', () => sent() === 0);
    await add(server);
    let last = 0;
    await until('no more is sent of what nobody reads', () => {
      const before = last;
      last = sent();
      return last > 0 && last === before;
    });
    const sockets = execFileSync('ss', ['-tmnHO', 'state', 'all', `dport = :${portOf(server)}`]).toString();
    const buffer = (index: number): number => Number(new RegExp(`:${ports[index]} .*rb(\\d+)`).exec(sockets)?.[1]);
    assert.ok(buffer(0) > 128 * 1024, `${buffer(0)}`);
    assert.deepEqual(
      [64, 65, 512, 513].map(buffer),
      [128, 128, 64, 64].map((kib) => kib * 1024),
    );
    assert.ok(sent() <= 128 * 1024, `${sent()} bytes wait for the enclave`);
  });

  it('leads new connections elsewhere on demand, and leaves open ones where they are', async () => {
    await bench.serve(target.path, (socket) => socket.on('data', (data) => socket.write(`old ${data}`)));
    await bench.serve(bench.path('new'), (socket) => socket.end('new'));
    const way = await relay.listen(loopback, target, bounds);
    const kept = await dial(way);
    kept.write('a');
    assert.equal(String((await once(kept, 'data'))[0]), 'old a');
    const group = relay.group({ maxConnections: 1 });
    way.retarget({ type: 'unix', path: bench.path('new') }, { group });
    assert.equal(await textFrom(way), 'new');
    assert.equal(group.stats().accepted, 1);
    kept.write('b');
    assert.equal(String((await once(kept, 'data'))[0]), 'old b');
  });

  it('goes on with the listening socket of another, with what waits in its queue', async () => {
    await bench.serve(target.path, (socket) => socket.end('served'));
    for (const from of [loopback, { type: 'unix', path: bench.path('in') } as const]) {
      const old = await relay.listen(from, target, bounds);
      const successor = new Relay();
      bench.later(() => successor.close());
      const address: ListenAddress =
        from.type === 'tcp' ? { ...from, port: old.address.port as number } : (from as ListenAddress);
      const way = await successor.listen({ ...address, descriptor: old.descriptor }, target, bounds);
      assert.deepEqual(way.address, old.address);
      await old.close({ shared: true });
      assert.equal(await textFrom(way), 'served');
      assert.equal(way.stats().accepted, 1);
      await way.close();
    }
  });

  it('tells of each connection at its end', async () => {
    await bench.serve(target.path, (socket) => socket.once('data', () => socket.end('four')));
    const ends: ConnectionEnd[] = [];
    const way = await relay.listen(loopback, target, { ...bounds, onConnectionEnd: (end) => ends.push(end) });
    const client = await dial(way);
    const { localPort } = client;
    client.end('abc');
    await readAll(client);
    const gone = await relay.listen(
      loopback,
      { type: 'unix', path: bench.path('nobody') },
      { ...bounds, onConnectionEnd: (end) => ends.push(end) },
    );
    await textFrom(gone);
    await until('both are told', () => ends.length === 2);
    const [first, second] = ends;
    assert.deepEqual(
      { ...first, ms: 0 },
      { peer: `127.0.0.1:${localPort}`, bytesIn: 3, bytesOut: 4, ms: 0, reason: 'closed' },
    );
    assert.equal(second?.reason, 'connect-failed');
    assert.equal(second?.errno, 2);
  });
});

/** Two ends of one connection. */
async function pair(bench: Bench, name = 'pair'): Promise<{ inner: Socket; outer: Socket }> {
  const arrived = Promise.withResolvers<Socket>();
  await bench.serve(bench.path(name), (socket) => arrived.resolve(socket.pause()));
  // Paused at once: else Node reads the first 64 KiB of its own
  const outer = connect({ path: bench.path(name), allowHalfOpen: true }).pause();
  bench.later(() => outer.destroy());
  return { outer, inner: await arrived.promise };
}
