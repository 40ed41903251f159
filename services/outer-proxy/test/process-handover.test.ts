import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { FakeGuest } from '../../../libs/vsock/test/fake-guest.ts';
import { ENCLAVE, ProxyProcesses } from './proxy-processes.ts';

const NEW = 'e-00000000000b';

describe('outer-proxies as processes', () => {
  let proxies: ProxyProcesses;

  beforeEach(async () => {
    proxies = await ProxyProcesses.make();
  });

  afterEach(async () => {
    await proxies[Symbol.asyncDispose]();
  });

  /** Answers with a word, and ends the connection when it is asked to; a vsock device does not pass on that a client ends. */
  const answerWith = (word: string) => (socket: Socket) =>
    socket.on('data', (data) => (String(data) === 'end' ? socket.end() : socket.write(word)));

  /** One connection for each request, as fast as they are answered, of two clients; counts what failed. */
  const load = (ask: () => Promise<string>) => {
    const seen = { done: 0, failures: [] as string[] };
    let stopped = false;
    const client = async (): Promise<void> => {
      while (!stopped) {
        await ask().then(
          (answer) => {
            if (answer === 'served') seen.done++;
            else seen.failures.push(JSON.stringify(answer));
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

  it('loses no connection, in or out, while one takes over from the other again and again', async () => {
    proxies.guest.on(8080, (socket) => socket.once('data', () => socket.end('served')));
    const server = createServer((socket) => socket.end('served')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    let proxy = await proxies.start();
    const { port } = await proxies.publish();
    const inward = load(async () => {
      const socket = connect(port, '127.0.0.1');
      socket.write('ask');
      return await text(socket);
    });
    const outward = load(() => proxies.askOut((server.address() as AddressInfo).port));
    for (let turn = 0; turn < 4; turn++) {
      const next = await proxies.start();
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
    proxies.guest.on(8080, (socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nserved')),
    );
    let proxy = await proxies.start();
    const { port } = await proxies.publish({ protocol: 'http' });
    const inward = load(async () => {
      const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } });
      return await response.text();
    });
    for (let turn = 0; turn < 2; turn++) {
      const next = await proxies.start();
      const before = inward.seen.done;
      assert.equal(await proxy.end(), 0);
      while (inward.seen.done < before + 50) await new Promise((resolve) => setImmediate(resolve));
      proxy = next;
    }
    await inward.stop();
    assert.deepEqual(inward.seen.failures, []);
  });

  it('lets what is open go on in the old one until it ends', async () => {
    proxies.guest.on(8080, answerWith('old'));
    const old = await proxies.start();
    const { port } = await proxies.publish();
    const kept = connect(port, '127.0.0.1');
    kept.write('a');
    assert.equal(String((await once(kept, 'data'))[0]), 'old');
    await proxies.start();
    const ended = old.end();
    await old.says('service ends');
    kept.write('b');
    assert.equal(String((await once(kept, 'data'))[0]), 'old');
    kept.write('end');
    assert.equal(await ended, 0);
  });

  it('cuts what outlasts the time to drain', async () => {
    proxies.guest.on(8080, (socket) => socket.write('hello'));
    const old = await proxies.start({ ENCLAVER_DRAIN_SECONDS: '0.3' });
    const { port } = await proxies.publish();
    const kept = connect(port, '127.0.0.1');
    await once(kept, 'data');
    await proxies.start();
    kept.resume();
    const [code] = await Promise.all([old.end(), once(kept, 'close')]);
    assert.equal(code, 0);
  });

  it('serves on alone while connections last, so that the gap is no longer than a restart', async () => {
    proxies.guest.on(8080, answerWith('served'));
    const proxy = await proxies.start();
    const { port } = await proxies.publish();
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
    proxies.guest.on(8080, (socket) => socket.end('served'));
    const first = await proxies.start();
    const second = await proxies.start();
    const { port } = await proxies.publish();
    const events = proxies.bus.events({ replay: true });
    assert.equal(await text(connect(port, '127.0.0.1')), 'served');
    await first.end('SIGKILL');
    await second.says('this outer-proxy leads');
    assert.equal(await text(connect(port, '127.0.0.1')), 'served');
    const other = proxies.record([{ listenPort: 8080, host: '127.0.0.1', port: 0 }], {
      id: NEW,
      vsock: { type: 'unix', path: join(proxies.folder, 'other') },
    });
    const answer = await proxies.tell(other, 'requested');
    assert.equal(answer.name, 'egress-ready');
    const answers: string[] = [];
    for await (const event of events) {
      if (event.name === 'egress-ready' || event.name === 'proxy-failed') answers.push(`${event.id} ${event.name}`);
      if (event.id === NEW && event.name === 'egress-ready') break;
    }
    assert.deepEqual(answers.slice(-2), [`${ENCLAVE} egress-ready`, `${NEW} egress-ready`]);
  });

  it('leads the ports of one enclave to another, through each outer-proxy, and says when the old one is drained', async () => {
    proxies.guest.on(8080, answerWith('old'));
    const other = await FakeGuest.start(join(proxies.folder, 'other'));
    other.on(8080, (socket) => socket.end('new'));
    await proxies.start();
    await proxies.start();
    const published = await proxies.publish();
    const kept = connect(published.port, '127.0.0.1');
    kept.write('a');
    await once(kept, 'data');
    const update = proxies.record([], {
      id: NEW,
      replaces: ENCLAVE,
      takesOver: ENCLAVE,
      vsock: { type: 'unix', path: join(proxies.folder, 'other') },
    });
    assert.equal((await proxies.tell(update, 'requested')).name, 'egress-ready');
    const handover = { from: ENCLAVE, to: NEW, ingress: [published] };
    const answer = await proxies.tell({ ...update, state: 'ready' }, 'handover', handover);
    assert.equal(answer.name, 'handed-over');
    assert.deepEqual(answer.data, handover);
    // Whichever of the two takes it
    for (let i = 0; i < 20; i++) assert.equal(await text(connect(published.port, '127.0.0.1')), 'new');
    kept.write('b');
    assert.equal(String((await once(kept, 'data'))[0]), 'old');
    const events = proxies.bus.events({ id: NEW });
    await events.ready;
    kept.write('end');
    for await (const event of events) {
      assert.equal(event.name, 'drained');
      break;
    }
    await proxies.bus.publishEvent(ENCLAVE, 'exited', { result: { kind: 'exited', code: 0 } });
    assert.equal(await text(connect(published.port, '127.0.0.1')), 'new');
    await other[Symbol.asyncDispose]();
  });

  it('says so when it cannot hand over, and leaves the ports where they are', async () => {
    proxies.guest.on(8080, (socket) => socket.end('old'));
    await proxies.start();
    const published = await proxies.publish();
    const missing = { id: NEW, replaces: ENCLAVE, takesOver: ENCLAVE } as const;
    const answer = await proxies.tell(proxies.record([], { ...missing, state: 'ready' }), 'handover', {
      from: ENCLAVE,
      to: NEW,
      ingress: [published],
    });
    assert.equal(answer.name, 'handover-failed');
    assert.equal(await text(connect(published.port, '127.0.0.1')), 'old');
  });
});
