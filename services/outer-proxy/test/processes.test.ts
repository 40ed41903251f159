import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Bus, type EnclaveEvent, type EnclaveRecord, type PublishedPort } from '@enclaver/bus';
import { EGRESS_PORT, EgressReplyDecoder, encodeEgress } from '@enclaver/wire';
import { NatsProcess } from '../../../libs/bus/test/nats-process.ts';
import { record as sample } from '../../../libs/bus/test/record.ts';
import { FakeGuest } from '../../../libs/vsock/test/fake-guest.ts';
import { ProxyProcess } from './proxy-process.ts';

const execute = promisify(execFile);
const OLD = 'e-00000000000a';
const NEW = 'e-00000000000b';

describe('outer-proxies as processes', () => {
  let work: string;
  let nats: NatsProcess;
  let bus: Bus;
  let guest: FakeGuest;
  let proxies: ProxyProcess[];

  before(async () => {
    nats = await NatsProcess.start();
  });

  after(async () => {
    await nats[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-handover-'));
    await writeFile(join(work, 'bus.json'), JSON.stringify(nats.credentials));
    bus = await Bus.connect({ source: 'test', credentials: nats.credentials });
    guest = await FakeGuest.start(join(work, 'vsock'));
    proxies = [];
  });

  afterEach(async () => {
    await Promise.all(proxies.map((proxy) => proxy.end('SIGKILL')));
    await guest[Symbol.asyncDispose]();
    for (const { id } of await bus.enclaves.list()) await bus.enclaves.remove(id);
    await bus.close();
    await rm(work, { recursive: true });
  });

  const start = async (env: Record<string, string> = {}, wrapper: string[] = []): Promise<ProxyProcess> => {
    const own = { ENCLAVER_BUS: join(work, 'bus.json'), ENCLAVER_RUN_DIR: work, ENCLAVER_DRAIN_SECONDS: '5' };
    const proxy = new ProxyProcess({ ...own, ...env }, wrapper);
    proxies.push(proxy);
    await proxy.says('service started');
    return proxy;
  };

  const record = (ingress: PublishedPort[], more: Partial<EnclaveRecord> = {}): EnclaveRecord => ({
    ...sample,
    id: OLD,
    name: 'test',
    vsock: { type: 'unix', path: join(work, 'vsock') },
    ingress,
    ...more,
  });

  /** What an enclave's event is answered with by an outer-proxy; every answer of this name until it, to see doubles. */
  const tell = async (enclave: EnclaveRecord, name: 'requested' | 'handover', more: object = {}) => {
    const events = bus.events({ id: enclave.id });
    await events.ready;
    await bus.enclaves.put(enclave);
    await bus.publishEvent(enclave.id, name, (name === 'requested' ? { enclave } : more) as never);
    for await (const event of events) if (event.name !== name) return event;
    throw new Error('the bus went away');
  };

  /** Answers with a word, and ends the connection when it is asked to; a vsock device does not pass on that a client ends. */
  const answerWith = (word: string) => (socket: Socket) =>
    socket.on('data', (data) => (String(data) === 'end' ? socket.end() : socket.write(word)));

  const requestPort = async (published: Partial<PublishedPort> = {}): Promise<PublishedPort> => {
    const event = await tell(record([{ listenPort: 8080, host: '127.0.0.1', port: 0, ...published }]), 'requested');
    assert.equal(event.name, 'egress-ready', JSON.stringify(event.data));
    const ingress = (event as Extract<EnclaveEvent, { name: 'egress-ready' }>).data.ingress;
    await bus.enclaves.put(record(ingress, { state: 'ready' }));
    await bus.publishEvent(OLD, 'ready', { ingress });
    return ingress[0] as PublishedPort;
  };

  const textOf = async (socket: Socket): Promise<string> => {
    let text = '';
    for await (const chunk of socket) text += chunk;
    return text;
  };

  /** One connection for each request, as fast as they are answered, of two clients; counts what failed. */
  const load = (ask: () => Promise<string>) => {
    const seen = { done: 0, failures: [] as string[] };
    let stopped = false;
    const client = async (): Promise<void> => {
      while (!stopped) {
        await ask().then(
          (text) => {
            if (text === 'served') seen.done++;
            else seen.failures.push(JSON.stringify(text));
          },
          (error: Error) => seen.failures.push(error.message),
        );
      }
    };
    const clients = [client(), client()];
    return {
      seen,
      stop: async () => {
        stopped = true;
        await Promise.all(clients);
      },
    };
  };

  const askOut = async (port: number): Promise<string> => {
    const socket = connect(join(work, `vsock_${EGRESS_PORT}`));
    socket.write(encodeEgress({ host: '127.0.0.1', port }));
    const decoder = new EgressReplyDecoder();
    let text = '';
    let begun = false;
    for await (const chunk of socket) {
      if (begun) text += chunk;
      const reply: ReturnType<typeof decoder.push> = begun ? undefined : decoder.push(chunk);
      if (reply === undefined) continue;
      begun = true;
      assert.equal(reply.message, 'Ok');
      text += reply.rest;
    }
    return text;
  };

  it('loses no connection, in or out, while one takes over from the other again and again', async () => {
    guest.on(8080, (socket) => socket.once('data', () => socket.end('served')));
    const server = createServer((socket) => socket.end('served')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    let proxy = await start();
    const { port } = await requestPort();
    const inward = load(async () => {
      const socket = connect(port, '127.0.0.1');
      socket.write('ask');
      return await textOf(socket);
    });
    const outward = load(() => askOut((server.address() as AddressInfo).port));
    for (let turn = 0; turn < 4; turn++) {
      const next = await start();
      const before = inward.seen.done + outward.seen.done;
      assert.equal(await proxy.end(), 0);
      while (inward.seen.done + outward.seen.done < before + 200) await new Promise((resolve) => setImmediate(resolve));
      proxy = next;
    }
    await inward.stop();
    await outward.stop();
    server.close();
    assert.deepEqual(inward.seen.failures, []);
    assert.deepEqual(outward.seen.failures, []);
  });

  it('answers every request of HTTP mode meanwhile', async () => {
    guest.on(8080, (socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nserved')),
    );
    let proxy = await start();
    const { port } = await requestPort({ protocol: 'http' });
    const inward = load(async () => {
      const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } });
      return await response.text();
    });
    for (let turn = 0; turn < 2; turn++) {
      const next = await start();
      const before = inward.seen.done;
      assert.equal(await proxy.end(), 0);
      while (inward.seen.done < before + 50) await new Promise((resolve) => setImmediate(resolve));
      proxy = next;
    }
    await inward.stop();
    assert.deepEqual(inward.seen.failures, []);
  });

  it('lets what is open go on in the old one until it ends', async () => {
    guest.on(8080, answerWith('old'));
    const old = await start();
    const { port } = await requestPort();
    const kept = connect(port, '127.0.0.1');
    kept.write('a');
    assert.equal(String((await once(kept, 'data'))[0]), 'old');
    await start();
    const ended = old.end();
    await old.says('service ends');
    kept.write('b');
    assert.equal(String((await once(kept, 'data'))[0]), 'old');
    kept.write('end');
    assert.equal(await ended, 0);
  });

  it('cuts what outlasts the time to drain', async () => {
    guest.on(8080, (socket) => socket.write('hello'));
    const old = await start({ ENCLAVER_DRAIN_SECONDS: '0.3' });
    const { port } = await requestPort();
    const kept = connect(port, '127.0.0.1');
    await once(kept, 'data');
    await start();
    kept.resume();
    const [code] = await Promise.all([old.end(), once(kept, 'close')]);
    assert.equal(code, 0);
  });

  it('serves on alone while connections last, so that the gap is no longer than a restart', async () => {
    guest.on(8080, answerWith('served'));
    const proxy = await start();
    const { port } = await requestPort();
    const kept = connect(port, '127.0.0.1');
    kept.write('a');
    await once(kept, 'data');
    const ended = proxy.end();
    await proxy.says('service ends');
    const late = connect(port, '127.0.0.1');
    late.write('b');
    assert.equal(String((await once(late, 'data'))[0]), 'served');
    kept.write('end');
    late.write('end');
    assert.equal(await ended, 0);
  });

  it('opens the listeners of an enclave once, whoever leads, and the next leads when that one is killed', async () => {
    guest.on(8080, (socket) => socket.end('served'));
    const first = await start();
    const second = await start();
    const { port } = await requestPort();
    const events = bus.events({ replay: true });
    assert.equal(await textOf(connect(port, '127.0.0.1')), 'served');
    await first.end('SIGKILL');
    await second.says('this outer-proxy leads');
    assert.equal(await textOf(connect(port, '127.0.0.1')), 'served');
    const other = record([{ listenPort: 8080, host: '127.0.0.1', port: 0 }], {
      id: NEW,
      vsock: { type: 'unix', path: join(work, 'other') },
    });
    const answer = await tell(other, 'requested');
    assert.equal(answer.name, 'egress-ready');
    const answers: string[] = [];
    for await (const event of events) {
      if (event.name === 'egress-ready' || event.name === 'proxy-failed') answers.push(`${event.id} ${event.name}`);
      if (event.id === NEW && event.name === 'egress-ready') break;
    }
    assert.deepEqual(answers.slice(-2), [`${OLD} egress-ready`, `${NEW} egress-ready`]);
  });

  it('leads the ports of one enclave to another, through each outer-proxy, and says when the old one is drained', async () => {
    guest.on(8080, answerWith('old'));
    const other = await FakeGuest.start(join(work, 'other'));
    other.on(8080, (socket) => socket.end('new'));
    await start();
    await start();
    const published = await requestPort();
    const kept = connect(published.port, '127.0.0.1');
    kept.write('a');
    await once(kept, 'data');
    const update = record([], {
      id: NEW,
      replaces: OLD,
      takesOver: OLD,
      vsock: { type: 'unix', path: join(work, 'other') },
    });
    assert.equal((await tell(update, 'requested')).name, 'egress-ready');
    const handover = { from: OLD, to: NEW, ingress: [published] };
    const answer = await tell({ ...update, state: 'ready' }, 'handover', handover);
    assert.equal(answer.name, 'handed-over');
    assert.deepEqual(answer.data, handover);
    // Whichever of the two takes it
    for (let i = 0; i < 20; i++) assert.equal(await textOf(connect(published.port, '127.0.0.1')), 'new');
    kept.write('b');
    assert.equal(String((await once(kept, 'data'))[0]), 'old');
    const events = bus.events({ id: NEW });
    await events.ready;
    kept.write('end');
    for await (const event of events) {
      assert.equal(event.name, 'drained');
      break;
    }
    await bus.publishEvent(OLD, 'exited', { result: { kind: 'exited', code: 0 } });
    assert.equal(await textOf(connect(published.port, '127.0.0.1')), 'new');
    await other[Symbol.asyncDispose]();
  });

  it('says so when it cannot hand over, and leaves the ports where they are', async () => {
    guest.on(8080, (socket) => socket.end('old'));
    await start();
    const published = await requestPort();
    const missing = { id: NEW, replaces: OLD, takesOver: OLD } as const;
    const answer = await tell(record([], { ...missing, state: 'ready' }), 'handover', {
      from: OLD,
      to: NEW,
      ingress: [published],
    });
    assert.equal(answer.name, 'handover-failed');
    assert.equal(await textOf(connect(published.port, '127.0.0.1')), 'old');
  });

  for (const protocol of ['tcp', 'http'] as const) {
    it(`survives that it has no descriptors left for ${protocol} clients, says so, and goes on when it has`, async () => {
      guest.on(8080, (socket) =>
        protocol === 'tcp'
          ? socket.write('served')
          : socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserved')),
      );
      const room = 120;
      const http = join(work, 'http.sock');
      const { process: proxy } = await start({ ENCLAVER_HTTP: `unix:${http}` }, ['prlimit', `--nofile=${room}`]);
      const { port } = await requestPort({ protocol });
      const open = async (): Promise<number> => (await readdir(`/proc/${proxy.pid}/fd`)).length;
      const clients = Array.from({ length: room }, () => connect(port, '127.0.0.1').on('error', () => undefined));
      // Until all that there is room for is taken
      for (let before = 0; before < room - 4 || before !== (await open()); ) {
        before = await open();
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      // Nobody who waits is turned away
      assert.ok(clients.every(({ destroyed, readableEnded }) => !destroyed && !readableEnded));
      for (const client of clients) client.destroy();
      guest.cut();
      // One that comes before that is taken, and let go for want of a second descriptor
      while ((await open()) > room / 2) await new Promise((resolve) => setTimeout(resolve, 20));
      const late = connect(port, '127.0.0.1');
      if (protocol === 'http') late.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.match(String((await once(late, 'data'))[0]), /served$/);
      late.destroy();
      const { stdout } = await execute('curl', ['-sS', '--unix-socket', http, 'http://localhost/metrics']);
      assert.match(stdout, /^enclaver_proxy_accept_errors_total\{enclave="test"\} [1-9]/m);
      const raised = async () => (await bus.warnings.list()).some(({ code }) => code === 'ACCEPT_ERRORS');
      while (!(await raised())) await new Promise((resolve) => setTimeout(resolve, 50));
      const server = createServer((socket) => socket.end('served')).listen(0, '127.0.0.1');
      await once(server, 'listening');
      assert.equal(await askOut((server.address() as AddressInfo).port), 'served');
      server.close();
    });
  }

  it('writes a line for each connection at its end', async () => {
    guest.on(8080, (socket) => socket.once('data', () => socket.end('four')));
    const server = createServer((socket) => socket.end('served')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const outside = (server.address() as AddressInfo).port;
    const proxy = await start({ ENCLAVER_ACCESS_LOG: 'json' });
    const { port } = await requestPort();
    const client = connect(port, '127.0.0.1');
    client.write('abc');
    await textOf(client);
    await askOut(outside);
    server.close();
    await once(server, 'close');
    await assert.rejects(askOut(outside));
    assert.equal(await proxy.end(), 0);
    const lines = proxy.output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const own = { enclave: OLD, name: 'test' };
    assert.deepEqual(
      lines.map(({ time: _time, ms: _ms, peer, ...rest }) => ({ ...rest, peer: peer.replace(/:\d+$/, '') })),
      [
        {
          ...own,
          direction: 'ingress',
          peer: '127.0.0.1',
          target: 'port 8080',
          bytesIn: 3,
          bytesOut: 4,
          end: 'closed',
        },
        {
          ...own,
          ...{ direction: 'egress', peer: 'enclave', target: `127.0.0.1:${outside}`, address: '127.0.0.1' },
          ...{ bytesIn: 6, bytesOut: 0, end: 'closed' },
        },
        {
          ...own,
          ...{ direction: 'egress', peer: 'enclave', target: `127.0.0.1:${outside}` },
          ...{ bytesIn: 0, bytesOut: 0, end: 'connect-failed', errno: 111 },
        },
      ],
    );
  });

  it('writes a line for each request of HTTP mode at its end, without its query, name or password', async () => {
    guest.on(8080, (socket) => {
      socket.on('data', (data) => {
        const isUpgrade = String(data).includes('Upgrade');
        if (String(data) === 'frame') socket.end('back');
        else if (isUpgrade)
          socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
        else socket.write('HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nfour');
      });
    });
    const proxy = await start({ ENCLAVER_ACCESS_LOG: 'json' });
    const { port } = await requestPort({ protocol: 'http', route: { host: 'a.example.com' } });
    const url = `http://127.0.0.1:${port}`;
    const asks = async (...args: string[]) => await execute('curl', ['-sS', ...args]);
    await asks('-H', 'Host: a.example.com', '-d', 'abc', `${url}/path?token=secret`);
    await asks('--http2-prior-knowledge', '-H', 'Host: a.example.com', `${url}/two`);
    await asks('-H', 'Host: b.example.com', `${url}/none`);
    for (const bytes of ['no HTTP', 'CONNECT me:secret@a.example.com:80 HTTP/1.1\r\nHost: me:secret@a.example.com']) {
      const broken = connect(port, '127.0.0.1');
      broken.end(`${bytes}\r\n\r\n`);
      await textOf(broken);
    }
    const joined = connect(port, '127.0.0.1');
    joined.write('GET /ws HTTP/1.1\r\nHost: a.example.com\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    await once(joined, 'data');
    joined.write('frame');
    await textOf(joined);
    assert.equal(await proxy.end(), 0);
    assert.ok(!proxy.output.includes('secret'));
    const lines = proxy.output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const own = { enclave: OLD, name: 'test', target: 'port 8080', host: 'a.example.com' };
    const none = { bytesIn: 0, bytesOut: 0, end: 'refused', target: `port ${port}` };
    assert.deepEqual(
      lines.map(({ time: _time, ms: _ms, peer, direction, ...rest }) => {
        assert.match(peer, /^127\.0\.0\.1:\d+$/);
        assert.equal(direction, 'ingress');
        return rest;
      }),
      [
        { ...own, bytesIn: 3, bytesOut: 4, end: 'answered', method: 'POST', path: '/path', status: 201 },
        { ...own, bytesIn: 0, bytesOut: 4, end: 'answered', method: 'GET', path: '/two', status: 201 },
        { ...none, method: 'GET', host: 'b.example.com', path: '/none', status: 421, code: 'HOST_UNKNOWN' },
        { ...none, method: '', host: '', path: '', status: 400, code: 'REQUEST_INVALID' },
        {
          ...none,
          method: 'CONNECT',
          host: 'a.example.com',
          path: 'a.example.com:80',
          status: 405,
          code: 'METHOD_REFUSED',
        },
        { ...own, bytesIn: 5, bytesOut: 4, end: 'answered', method: 'GET', path: '/ws', status: 101 },
      ],
    );
  });
});
