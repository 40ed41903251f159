import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Endpoint, type ListenAddress, Relay, type RelayRoute, unixTransport } from '../src/index.ts';
import { Bench, bounds, fakeDevice, portOf, readAll, readSlowly, until, writeSlowly } from './support.ts';

/** How many descriptors this process has open. */
const descriptors = (): number => readdirSync('/proc/self/fd').length;

const loopback: ListenAddress = { type: 'tcp', host: '127.0.0.1', port: 0 };

describe('relay: routes', () => {
  let bench: Bench;
  let relay: Relay;
  beforeEach(() => {
    bench = new Bench();
    relay = new Relay();
    bench.later(() => relay.close());
  });
  afterEach(async () => await bench.end());

  const route = async (from: ListenAddress, to: Endpoint, more: Partial<typeof bounds> = {}): Promise<RelayRoute> =>
    await relay.listen(from, to, { ...bounds, ...more });
  const dial = async (to: RelayRoute): Promise<Socket> =>
    await bench.dial(to.address.path ?? (to.address.port as number));

  const kinds: [string, () => ListenAddress, (serve: (socket: Socket) => void) => Promise<Endpoint>][] = [
    [
      'tcp → unix',
      () => loopback,
      async (serve) => {
        await bench.serve(bench.path('t'), serve);
        return { type: 'unix', path: bench.path('t') };
      },
    ],
    [
      'tcp → tcp',
      () => loopback,
      async (serve) => ({ type: 'tcp', host: '127.0.0.1', port: portOf(await bench.serve(0, serve)) }),
    ],
    [
      'unix → tcp',
      () => ({ type: 'unix', path: bench.path('l') }),
      async (serve) => ({ type: 'tcp', host: '127.0.0.1', port: portOf(await bench.serve(0, serve)) }),
    ],
    [
      'tcp → vsock device',
      () => loopback,
      async (serve) => {
        await fakeDevice(bench, bench.path('d'), new Map([[80, serve]]));
        return unixTransport({ path: bench.path('d') }).endpoint(80);
      },
    ],
  ];

  for (const [name, from, to] of kinds) {
    it(`${name}: 100 MB up and down at once, with pauses, byte for byte`, async function () {
      this.timeout(60_000);
      const far = Promise.withResolvers<{ up: { length: number; hash: string }; down: string }>();
      const hybrid = name.endsWith('device');
      const target = await to(async (socket) => {
        // The device has no half-close: the upload's end is known by its length, as in our own protocols.
        const up = hybrid ? readSlowly(socket, 100e6) : readSlowly(socket);
        const down = writeSlowly(socket, 100e6);
        far.resolve({ up: await up, down: await down });
      });
      const way = await route(from(), target);
      const client = await dial(way);
      const got = readSlowly(client);
      const sent = await writeSlowly(client, 100e6);
      const { up, down } = await far.promise;
      assert.deepEqual(up, { length: 100e6, hash: sent });
      assert.deepEqual(await got, { length: 100e6, hash: down });
      client.destroy();
      await until('the pair is over', () => way.stats().active === 0);
      const { bytesIn, bytesOut, accepted } = way.stats();
      assert.deepEqual([accepted, bytesIn, bytesOut], [1, 100e6, 100e6]);
    });

    it(`${name}: 1,000 short connections, of which nothing is kept (D6)`, async function () {
      this.timeout(60_000);
      const target = await to((socket) => socket.on('data', (data) => socket.end(data)));
      const way = await route(from(), target);
      const one = async (i: number): Promise<void> => {
        const client = await dial(way);
        client.write(`request ${i}`);
        assert.equal((await readAll(client)).toString(), `request ${i}`);
        client.destroy();
      };
      await one(-1);
      await until('the first is over', () => way.stats().active === 0);
      const before = descriptors();
      for (let i = 0; i < 1000; i += 50) await Promise.all(Array.from({ length: 50 }, (_, k) => one(i + k)));
      await until('all are over', () => way.stats().active === 0);
      assert.equal(way.stats().accepted, 1001);
      await until('its descriptors are closed', () => descriptors() <= before);
      assert.equal(way.stats().refused + way.stats().failedConnects + way.stats().acceptErrors, 0);
    });
  }

  it('keeps a half-close: the answer comes after the end of the request', async () => {
    await bench.serve(bench.path('t'), async (socket) => {
      const request = await readAll(socket);
      await sleep(20);
      socket.end(`${request.length} bytes`);
    });
    const client = await dial(await route(loopback, { type: 'unix', path: bench.path('t') }));
    client.end(Buffer.alloc(300_000));
    assert.equal((await readAll(client)).toString(), '300000 bytes');
  });

  it('holds a half-close that a vsock device cannot carry until the other side closes', async () => {
    let early = false;
    let answered = false;
    const guest = async (socket: Socket): Promise<void> => {
      socket.on('end', () => {
        early = !answered;
      });
      socket.resume();
      await sleep(50);
      answered = true;
      socket.end('late answer');
    };
    await fakeDevice(bench, bench.path('d'), new Map([[80, guest]]));
    const way = await route(loopback, unixTransport({ path: bench.path('d') }).endpoint(80));
    const client = await dial(way);
    client.end('request');
    assert.equal((await readAll(client)).toString(), 'late answer');
    assert.equal(early, false);
    await until('the pair is over', () => way.stats().active === 0);
  });

  it('passes the end of what it dialled on across a vsock device, as the end of both', async () => {
    await bench.serve(bench.path('t'), (socket) => {
      socket.once('data', () => socket.end('all there is'));
    });
    const way = await route(
      { type: 'unix', path: bench.path('h'), hybrid: true },
      { type: 'unix', path: bench.path('t') },
    );
    const client = connect(bench.path('h'));
    client.write('a request whose writer waits for the end of the answer');
    assert.equal((await readAll(client)).toString(), 'all there is');
    await until('the pair is over', () => way.stats().active === 0);
  });

  it('delivers all that a peer said before it closed, though it did not read everything', async () => {
    await bench.serve(bench.path('t'), (socket) => {
      socket.pause();
      socket.write(Buffer.alloc(100_000, 'x'), () => socket.destroy());
    });
    const client = await dial(await route(loopback, { type: 'unix', path: bench.path('t') }));
    client.on('error', () => client.destroy());
    client.write(Buffer.alloc(5000));
    let length = 0;
    client.on('data', (data) => {
      length += data.length;
    });
    await until('the answer is whole', () => length === 100_000);
  });

  it('passes a reset on as a reset', async () => {
    const server = await bench.serve(0, (socket) => socket.once('data', () => socket.resetAndDestroy()));
    const client = await dial(await route(loopback, { type: 'tcp', host: '127.0.0.1', port: portOf(server) }));
    client.write('x');
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNRESET');
  });

  it('closes the client when the target refuses, is missing, or is silent', async () => {
    const dead = await bench.serve(0, () => {});
    const port = portOf(dead);
    dead.close();
    await bench.serve(bench.path('silent'), () => {});
    const targets: Endpoint[] = [
      { type: 'tcp', host: '127.0.0.1', port },
      { type: 'unix', path: bench.path('missing') },
      { type: 'unix', path: bench.path('silent'), connectPort: 1 },
    ];
    for (const target of targets) {
      const way = await route(loopback, target, { connectTimeoutMs: 100 });
      const client = await dial(way);
      assert.equal((await readAll(client)).length, 0);
      assert.equal(way.stats().failedConnects, 1);
      assert.equal(way.stats().active, 0);
    }
  });

  it('waits for room in the full queue of a Unix target, up to the connect timeout', async () => {
    const { addon } = await import('../src/addon.ts');
    const { sockaddr } = await import('../src/address.ts');
    const target: Endpoint = { type: 'unix', path: bench.path('full') };
    const fd = addon().socketListen(sockaddr(target), 0, null, false);
    const poll = addon().pollCreate(fd, () => {});
    if (typeof poll === 'number') throw new Error('no watcher');
    bench.later(() => addon().pollClose(poll));
    const way = await route(loopback, target, { connectTimeoutMs: 2_000 });
    await dial(way); // takes the only place
    await until('the first is open', () => way.stats().active === 1);
    const second = await dial(way);
    const third = await dial(way);
    await sleep(30);
    assert.equal(way.stats().active, 3);
    const peer = new Uint32Array(1);
    const accepted = addon().pollCreate(addon().socketAccept(fd, peer), () => {});
    if (typeof accepted === 'number') throw new Error('no watcher');
    bench.later(() => addon().pollClose(accepted));
    await until('one gives up, one is served', () => way.stats().failedConnects === 1);
    assert.equal(way.stats().active, 2);
    second.destroy();
    third.destroy();
  });
});
