import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus, type EnclaveEvent, type EnclaveRecord, type PublishedPort } from '@enclaver/bus';
import { Metrics } from '@enclaver/telemetry';
import { decodeProxyHeader, EGRESS_PORT, type EgressReply, EgressReplyDecoder, encodeEgress } from '@enclaver/wire';
import { pino } from 'pino';
import { NatsProcess } from '../../../libs/bus/test/nats-process.ts';
import { record as sample } from '../../../libs/bus/test/record.ts';
import { FakeGuest } from '../../../libs/vsock/test/fake-guest.ts';
import { dial } from '../src/dial.ts';
import { OuterProxy } from '../src/outer-proxy.ts';

const ID = 'e-00000000000a';

describe('outer-proxy', () => {
  let work: string;
  let nats: NatsProcess;
  let bus: Bus;
  let proxy: OuterProxy;
  let guest: FakeGuest;

  before(async () => {
    nats = await NatsProcess.start();
  });

  after(async () => {
    await nats[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-outer-proxy-'));
    bus = await Bus.connect({ source: 'test', credentials: nats.credentials });
    guest = await FakeGuest.start(join(work, 'vsock'));
    proxy = newProxy();
    await proxy.start();
  });

  afterEach(async () => {
    await proxy.close();
    await guest[Symbol.asyncDispose]();
    for (const record of await bus.enclaves.list()) await bus.enclaves.remove(record.id);
    await bus.close();
    await rm(work, { recursive: true });
  });

  const newProxy = (on = bus): OuterProxy =>
    new OuterProxy(on, pino({ level: 'silent' }), {
      metrics: new Metrics(),
      drainMs: 1_000,
      peerPath: join(work, 'peers'),
    });

  const record = (ingress: PublishedPort[], id = ID): EnclaveRecord => ({
    ...sample,
    id,
    name: 'test',
    vsock: { type: 'unix', path: join(work, 'vsock') },
    ingress,
  });

  const request = async (enclave: EnclaveRecord): Promise<EnclaveEvent> => {
    const events = bus.events({ id: enclave.id });
    await events.ready;
    await bus.enclaves.put(enclave);
    await bus.publishEvent(enclave.id, 'requested', { enclave });
    for await (const event of events) if (event.name !== 'requested') return event;
    throw new Error('the bus went away');
  };

  const requestPort = async (more: Partial<PublishedPort> = {}): Promise<number> => {
    const event = await request(record([{ listenPort: 8080, host: '127.0.0.1', port: 0, ...more }]));
    assert.equal(event.name, 'egress-ready');
    return event.data.ingress[0]?.port ?? 0;
  };

  const listen = async (onSocket: (socket: Socket) => void): Promise<Server & { port: number }> => {
    const server = createServer(onSocket).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return Object.assign(server, { port: (server.address() as AddressInfo).port });
  };

  const textOf = async (socket: Socket): Promise<string> => {
    let text = '';
    for await (const chunk of socket) text += chunk;
    return text;
  };

  it('leads an ingress port to the port inside', async () => {
    guest.on(8080, (socket) => socket.once('data', (data) => socket.end(`inside got ${data}`)));
    const socket = connect(await requestPort(), '127.0.0.1');
    socket.write('hello');
    assert.equal(await textOf(socket), 'inside got hello');
  });

  it('tells a port that wants it who connects, also after a restart of its own', async () => {
    const port = await requestPort({ reportPeer: true });
    await bus.enclaves.put({
      ...record([{ listenPort: 8080, host: '127.0.0.1', port, reportPeer: true }]),
      state: 'ready',
    });
    for (let turn = 0; turn < 2; turn++) {
      const heard = Promise.withResolvers<Buffer>();
      guest.on(8080, (socket) => {
        let all = Buffer.alloc(0);
        socket.on('data', (data: Buffer) => {
          all = Buffer.concat([all, data]);
          if (!all.toString('latin1').endsWith('hello')) return;
          heard.resolve(all);
          socket.end();
        });
      });
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      const from = socket.localPort;
      socket.write('hello');
      const bytes = await heard.promise;
      const loopback = Uint8Array.of(127, 0, 0, 1);
      const { header, length } = decodeProxyHeader(bytes) ?? assert.fail('no whole header came');
      assert.deepEqual(header, {
        command: 'proxy',
        family: 4,
        source: { address: loopback, port: from },
        destination: { address: loopback, port },
      });
      assert.equal(bytes.toString('latin1', length), 'hello');
      socket.destroy();
      await proxy.close();
      proxy = newProxy();
      await proxy.start();
    }
  });

  it('leads a Unix socket to the port inside, in place of one that was left behind, and takes it away at the end', async () => {
    guest.on(8080, (socket) => socket.once('data', (data) => socket.end(`inside got ${data}`)));
    const path = join(work, 'in');
    const left = createServer().listen(path);
    await once(left, 'listening');
    await rename(path, join(work, 'kept'));
    left.close();
    await once(left, 'close');
    await rename(join(work, 'kept'), path).catch(() => undefined);
    const event = await request(record([{ listenPort: 8080, host: '127.0.0.1', port: 0, path }]));
    assert.equal(event.name, 'egress-ready', JSON.stringify(event.data));
    assert.equal((await stat(path)).mode & 0o777, 0o660);
    const socket = connect(path);
    socket.write('hello');
    assert.equal(await textOf(socket), 'inside got hello');
    await bus.publishEvent(ID, 'exited', { result: { kind: 'exited', code: 0 } });
    while (existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 10));
  });

  it('leaves a path alone that is no socket, or that another listens at', async () => {
    const file = join(work, 'file');
    await writeFile(file, 'content');
    const taken = createServer().listen(join(work, 'taken'));
    await once(taken, 'listening');
    for (const path of [file, join(work, 'taken')]) {
      const failed = await request(record([{ listenPort: 8080, host: '127.0.0.1', port: 0, path }]));
      assert.equal(failed.name, 'proxy-failed');
      assert.equal(failed.data.error.code, 'PATH_IN_USE');
      await bus.enclaves.remove(ID);
    }
    assert.equal(await readFile(file, 'utf8'), 'content');
    taken.close();
  });

  it('bounds the connections of an enclave as its run request says, all ports together', async () => {
    guest.on(8080, (socket) => socket.write('hello'));
    const ports = [0, 0].map((port) => ({ listenPort: 8080, host: '127.0.0.1', port }));
    const event = await request({ ...record(ports), limits: { ingressConnections: 1 } });
    assert.equal(event.name, 'egress-ready');
    const [one = 0, two = 0] = event.data.ingress.map(({ port }) => port);
    const kept = connect(one, '127.0.0.1');
    await once(kept, 'data');
    assert.equal(await textOf(connect(two, '127.0.0.1')), '');
    kept.destroy();
  });

  it('closes its listeners when the enclave has ended', async () => {
    const port = await requestPort();
    await bus.publishEvent(ID, 'exited', { result: { kind: 'exited', code: 0 } });
    for (;;) {
      const socket = connect(port, '127.0.0.1');
      const outcome = await Promise.race([
        once(socket, 'error').then(() => 'refused'),
        once(socket, 'close').then(() => 'closed'),
        sleep(10_000, 'open', { ref: false }),
      ]);
      if (outcome === 'refused') break;
      assert.equal(outcome, 'closed', `a connection from port ${socket.localPort} to ${port} is ${outcome}`);
    }
  });

  it('reports a port that is in use, by a program or by another enclave', async () => {
    const taken = await listen((socket) => socket.destroy());
    const failed = await request(record([{ listenPort: 8080, host: '127.0.0.1', port: taken.port }]));
    assert.equal(failed.name, 'proxy-failed');
    assert.equal(failed.data.error.code, 'PORT_IN_USE');
    assert.match(failed.data.error.message, new RegExp(`127\\.0\\.0\\.1:${taken.port}`));
    assert.notEqual(failed.data.error.remedy, undefined);
    taken.close();
    const port = await requestPort();
    const second = await request(record([{ listenPort: 8080, host: '127.0.0.1', port }], 'e-00000000000b'));
    assert.equal(second.name, 'proxy-failed');
  });

  it('takes up the enclaves that it finds after a restart, on their ports', async () => {
    const port = await requestPort();
    await bus.enclaves.put({ ...record([{ listenPort: 8080, host: '127.0.0.1', port }]), state: 'ready' });
    await proxy.close();
    proxy = newProxy();
    await proxy.start();
    guest.on(8080, (socket) => socket.end('still here'));
    assert.equal(await textOf(connect(port, '127.0.0.1')), 'still here');
  });

  it('takes over from another that still serves, without a gap', async () => {
    const port = await requestPort();
    await bus.enclaves.put({ ...record([{ listenPort: 8080, host: '127.0.0.1', port }]), state: 'ready' });
    const old = proxy;
    proxy = newProxy();
    await proxy.start();
    guest.on(8080, (socket) => socket.end('served'));
    assert.equal(await textOf(connect(port, '127.0.0.1')), 'served');
    await old.close();
    assert.equal(await textOf(connect(port, '127.0.0.1')), 'served');
  });

  it('serves on when the bus is back and does not answer yet', async () => {
    await proxy.close();
    const failed = Promise.withResolvers<void>();
    let lists = 0;
    const list = async () => {
      if (lists++ === 0) return [];
      failed.resolve();
      throw new Error('the bus does not answer');
    };
    // The real bus but for these two: a server that is back and not yet ready cannot be had when one wants it
    const flapping = new Proxy(bus, {
      get(target, key) {
        if (key === 'enclaves') return { list };
        if (key === 'onConnectionChange') return async (listener: (connected: boolean) => void) => listener(true);
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    // Such a one ends the service; the test runner alone would not mind it
    const unhandled: unknown[] = [];
    const note = (reason: unknown): number => unhandled.push(reason);
    process.on('unhandledRejection', note);
    proxy = newProxy(flapping);
    await proxy.start();
    await failed.promise;
    guest.on(8080, (socket) => socket.end('served'));
    assert.equal(await textOf(connect(await requestPort(), '127.0.0.1')), 'served');
    process.off('unhandledRejection', note);
    assert.deepEqual(unhandled, []);
  });

  it('opens nothing for egress that the manifest does not have (B-16)', async () => {
    const event = await request({ ...record([]), egress: false });
    assert.equal(event.name, 'egress-ready');
    const socket = connect(join(work, `vsock_${EGRESS_PORT}`));
    const [error] = await once(socket, 'error');
    assert.equal(error.code, 'ENOENT');
  });

  describe('egress', () => {
    /** Dials the outer-proxy as the enclave does. */
    const dialOut = (): Socket => connect(join(work, `vsock_${EGRESS_PORT}`)).on('error', () => undefined);

    const ask = async (
      message: Parameters<typeof encodeEgress>[0],
      early = '',
    ): Promise<[EgressReply, Buffer, Socket]> => {
      const socket = dialOut();
      socket.write(Buffer.concat([encodeEgress(message), Buffer.from(early)]));
      const decoder = new EgressReplyDecoder();
      for (;;) {
        const [chunk] = await once(socket, 'data');
        const reply = decoder.push(chunk);
        if (reply !== undefined) return [reply.message, reply.rest, socket];
      }
    };

    beforeEach(() => requestPort());

    it('connects, answers Ok and carries bytes both ways, those sent with the request among them', async () => {
      const server = await listen((socket) => socket.once('data', (data) => socket.end(`echo ${data}`)));
      const [reply, rest, socket] = await ask({ host: '127.0.0.1', port: server.port }, 'early bytes');
      assert.equal(reply, 'Ok');
      assert.equal(rest.toString() + (await textOf(socket)), 'echo early bytes');
      server.close();
    });

    it('reports the address on request, and knows the parent under its keyword in any case', async () => {
      const server = await listen((socket) => socket.end());
      const [reply] = await ask({ host: 'HOST', port: server.port, report: true });
      assert.deepEqual(reply, { Ok: { address: '127.0.0.1' } });
      server.close();
    });

    it('answers with the errno when nobody is there, and 0 for a name that is not known', async () => {
      const server = await listen((socket) => socket.end());
      server.close();
      const [refused] = await ask({ host: '127.0.0.1', port: server.port });
      assert.deepEqual(refused, { Err: { os_code: 111, message: `connect ECONNREFUSED 127.0.0.1:${server.port}` } });
      const [unknown] = await ask({ host: 'no-such-name.invalid', port: 80 });
      assert.ok(typeof unknown === 'object' && 'Err' in unknown && unknown.Err.os_code === 0);
    });

    it('closes after its refusal what the enclave keeps open (D7)', async () => {
      const server = await listen((socket) => socket.end());
      server.close();
      const socket = connect({ path: join(work, `vsock_${EGRESS_PORT}`), allowHalfOpen: true });
      socket.write(encodeEgress({ host: '127.0.0.1', port: server.port }));
      socket.resume();
      await once(socket, 'end');
      const gone = once(socket, 'error');
      const talking = setInterval(() => socket.write('still here'), 50);
      const [error] = await gone;
      clearInterval(talking);
      assert.equal(error.code, 'EPIPE');
    });

    it('dials an IPv6 literal in brackets', async () => {
      const server = createServer((socket) => socket.end('six')).listen(0, '::1');
      await once(server, 'listening');
      const [reply] = await ask({ host: '[::1]', port: (server.address() as AddressInfo).port, report: true });
      assert.deepEqual(reply, { Ok: { address: '::1' } });
      server.close();
    });

    it('leaves nothing behind on the signal that ends an enclave’s dialling', async () => {
      const { signal } = new AbortController();
      const server = await listen((socket) => socket.end());
      const reached = await dial({ host: '127.0.0.1', port: server.port }, { signal });
      assert.ok('socket' in reached);
      reached.socket.destroy();
      server.close();
      assert.ok('error' in (await dial({ host: '127.0.0.1', port: server.port }, { signal })));
      assert.equal(getEventListeners(signal, 'abort').length, 0);
    });

    it('closes on a frame that is too large or is no request, and serves others after it', async () => {
      for (const bytes of [Buffer.from([0xff, 0xff, 0x7b]), Buffer.from('\x02\x00{}'), Buffer.from('\x04\x00null')]) {
        const socket = dialOut();
        socket.write(bytes);
        assert.equal(await textOf(socket), '');
      }
      const server = await listen((socket) => socket.end());
      assert.equal((await ask({ host: '127.0.0.1', port: server.port }))[0], 'Ok');
      server.close();
    });
  });
});
