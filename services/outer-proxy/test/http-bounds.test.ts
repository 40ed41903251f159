import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Relay } from '@enclaver/vsock';
import { Share } from '../src/http/share.ts';
import { limits } from '../src/limits.ts';
import { curl, HttpHarness, sendRaw } from './http-harness.ts';

const VERSIONS = ['--http1.1', '--http2-prior-knowledge'];

describe('HTTP mode: bounds of an enclave', () => {
  let harness: HttpHarness;
  let release: PromiseWithResolvers<void>;

  beforeEach(() => {
    release = Promise.withResolvers();
  });

  afterEach(async () => {
    release.resolve();
    await harness[Symbol.asyncDispose]();
  });

  /** The app answers at once, at `/hold` when it is released. */
  const serve = (id: string): void => {
    harness.serve(id, (incoming, response) => {
      if (incoming.url !== '/hold') return void response.end(`<${id}>`);
      response.flushHeaders();
      void release.promise.then(() => response.end(`<${id}>`));
    });
  };

  const hold = async (port: number, host: string): Promise<IncomingMessage> => {
    const outgoing = request({ host: '127.0.0.1', port, path: '/hold', headers: { host }, agent: false }).end();
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    return answer;
  };

  const asks = (version: string, port: number, host: string): Promise<string> =>
    curl(version, '-H', `Host: ${host}`, `http://127.0.0.1:${port}/`);

  it('answers 503 to more requests than --limit ingress-connections lets it have at a time, and none of another’s', async () => {
    harness = await HttpHarness.start();
    const { published } = await harness.publish('a', { host: 'a' }, { limits: { ingressConnections: 2 } });
    const { port } = published;
    await harness.publish('b', { host: 'b' }, { port });
    for (const id of ['a', 'b']) serve(id);
    const held = [await hold(port, 'a'), await hold(port, 'a')];
    for (const version of VERSIONS) {
      assert.match(await asks(version, port, 'a'), / 503 [\s\S]*enclaver-error: ENCLAVE_BUSY\r\n/i);
      assert.match(await asks(version, port, 'b'), / 200 [\s\S]*<b>/);
    }
    release.resolve();
    for (const answer of held) assert.equal(await text(answer), '<a>');
    while (harness.group('a').stats().active > 0) await new Promise(setImmediate);
    assert.match(await asks('--http1.1', port, 'a'), / 200 [\s\S]*<a>/);
    const { accepted, refused } = harness.group('a').stats();
    assert.deepEqual({ accepted, refused }, { accepted: 3, refused: 2 });
  });

  it('answers 429 to more requests in a second than --limit ingress-rate, with when to come again', async () => {
    harness = await HttpHarness.start();
    const { published } = await harness.publish('a', { host: 'a' }, { limits: { ingressPerSecond: 1 } });
    const { port } = published;
    await harness.publish('b', { host: 'b' }, { port });
    for (const id of ['a', 'b']) serve(id);
    const begun = performance.now();
    const answers: string[] = [];
    for (let i = 0; i < 10; i++) answers.push(await asks(VERSIONS[i % 2] as string, port, 'a'));
    const late = answers.filter((answer) => !/ 200 /.test(answer));
    assert.ok(answers.length - late.length <= Math.ceil((performance.now() - begun) / 1000));
    for (const answer of late) {
      assert.match(answer, / 429 [\s\S]*enclaver-error: RATE_LIMITED\r\n[\s\S]*retry-after: 1\r\n/i);
    }
    assert.match(await asks('--http1.1', port, 'b'), / 200 /);
    assert.equal(harness.group('a').stats().rateLimited, late.length);
    assert.match(harness.metrics.expose(), RegExp(`enclave="a",outcome="limited"} ${late.length}$`, 'm'));
  });

  it('lets no more bytes pass than --limit ingress-bytes, either way and in upgraded connections, and loses none', async () => {
    harness = await HttpHarness.start();
    const rate = 1024 * 1024;
    const { published } = await harness.publish('a', {}, { limits: { ingressBytesPerSecond: rate } });
    const { port } = published;
    const server = createServer();
    server.on('upgrade', (_incoming, socket, head) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
      socket.write(head);
      socket.pipe(socket);
    });
    harness.serve('a', (incoming, response) => incoming.pipe(response), server);
    const body = Buffer.alloc(400 * 1024, 'x');
    const begun = performance.now();
    const outgoing = request({ host: '127.0.0.1', port, method: 'POST', agent: false }).end(body);
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    assert.equal((await text(answer)).length, body.length);
    const least = (2 * body.length - limits.burstBytes - 64 * 1024) / rate;
    assert.ok((performance.now() - begun) / 1000 >= least * 0.99);
    const { bytesIn, bytesOut } = harness.group('a').stats();
    assert.ok(bytesIn > body.length && bytesOut > body.length, `${bytesIn} in, ${bytesOut} out`);
    // The relay has what is upgraded in its turns, as the enclave's
    const joined = connect(port, '127.0.0.1');
    joined.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    await once(joined, 'data');
    assert.equal(harness.group('a').stats().active, 1);
    const before = harness.group('a').stats().bytesIn;
    joined.write('echo');
    assert.equal(String((await once(joined, 'data'))[0]), 'echo');
    assert.equal(harness.group('a').stats().bytesIn, before + 4);
    joined.destroy();
  });

  it('lets a body wait for --limit ingress-bytes for longer than one that stands still', async () => {
    harness = await HttpHarness.start({ httpBodyMs: 600, httpAnswerMs: 600 });
    const { published } = await harness.publish('a', {}, { limits: { ingressBytesPerSecond: 96 * 1024 } });
    harness.serve('a', (incoming, response) => {
      let received = 0;
      incoming.on('data', (chunk: Buffer) => {
        received += chunk.length;
      });
      incoming.once('end', () => response.end(`<${received}>`));
    });
    const folder = await mkdtemp(join(tmpdir(), 'enclaver-body-'));
    after(async () => await rm(folder, { recursive: true }));
    const body = join(folder, 'body');
    await writeFile(body, Buffer.alloc(384 * 1024));
    for (const version of VERSIONS) {
      const url = `http://127.0.0.1:${published.port}/`;
      const answer = await curl(version, '-H', 'Host: a', '-H', 'Expect:', '--data-binary', `@${body}`, url);
      assert.match(answer, / 200 [\s\S]*<393216>/);
    }
  });

  it('leaves room at a crowded listener to enclaves that have less than their part, and frees what it can', async () => {
    harness = await HttpHarness.start({ httpCrowded: 4 });
    const { published } = await harness.publish('a', { host: 'a' });
    const { port } = published;
    await harness.publish('b', { host: 'b' }, { port });
    for (const id of ['a', 'b']) serve(id);
    const held = await Promise.all(Array.from({ length: 4 }, () => hold(port, 'a')));
    const one = (host: string): Promise<string> => sendRaw(port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    // sendRaw waits for the end of the connection, which the client did not ask for
    assert.match(await one('a'), /^HTTP\/1\.1 503 [\s\S]*ENCLAVE_BUSY/);
    assert.match(await one('b'), /^HTTP\/1\.1 200 /);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const closed = once(session, 'close');
    assert.equal(await text(session.request({ ':authority': 'b' })), '<b>');
    await closed;
    release.resolve();
    for (const answer of held) assert.equal(await text(answer), '<a>');
  });

  it('lets requests of HTTP/2 take turns as others do', async () => {
    harness = await HttpHarness.start();
    const { published } = await harness.publish('a');
    serve('a');
    const session = connectHttp2(`http://127.0.0.1:${published.port}`);
    // More than one turn has
    const asked = Array.from({ length: 120 }, () => text(session.request()));
    assert.deepEqual(new Set(await Promise.all(asked)), new Set(['<a>']));
    session.close();
  });

  it('takes turns: one that wants much waits for the next, and another does not wait for it', async () => {
    harness = await HttpHarness.start();
    const relay = new Relay();
    const [greedy, modest] = [1, 2].map(() => new Share(relay.group({ maxConnections: 10 }))) as [Share, Share];
    const order: string[] = [];
    const each = limits.turnBytes / limits.turnCost;
    const wait = (share: Share, name: string): boolean => {
      const turn = share.turn();
      void turn?.then(() => order.push(name));
      return turn === undefined;
    };
    let first = 0;
    for (let i = 0; i < 10 * each; i++) if (wait(greedy, 'greedy')) first++;
    assert.equal(first, each);
    assert.ok(wait(modest, 'modest'));
    await new Promise(setImmediate);
    assert.equal(order.length, each);
    // Bytes count as well: these leave nothing for a second one in this turn
    modest.passed(limits.turnBytes, 0);
    assert.ok(!wait(modest, 'modest'));
    while (order.length < 9 * each + 1) await new Promise(setImmediate);
    assert.ok(order.indexOf('modest') < 3 * each, String(order.indexOf('modest')));
    await relay.close();
  });
});
