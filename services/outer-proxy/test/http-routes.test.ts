import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { curl, HttpHarness, sendRaw } from './http-harness.ts';

describe('HTTP mode: routes', () => {
  let harness: HttpHarness;

  beforeEach(async () => {
    harness = await HttpHarness.start();
  });

  afterEach(async () => {
    await harness[Symbol.asyncDispose]();
  });

  /** An enclave whose app answers with the enclave's id. */
  const publish = async (
    id: string,
    ...rest: Parameters<HttpHarness['publish']> extends [string, ...infer R] ? R : never
  ) => {
    const opened = await harness.publish(id, ...rest);
    harness.serve(id, (_incoming, response) => response.end(`<${id}>`));
    return opened;
  };

  const asks = async (port: number, host: string, path: string): Promise<string> => {
    const answer = await sendRaw(port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    return /<(.*)>/.exec(answer)?.[1] ?? /Enclaver-Error: (\w+)/.exec(answer)?.[1] ?? answer;
  };

  it('takes the most specific host, then the longest path, on one address', async () => {
    const { published } = await publish('any');
    const { port } = published;
    for (const [id, route] of Object.entries({
      name: { host: 'api.example.com' },
      v1: { host: 'api.example.com', path: '/v1' },
      v1a: { host: 'api.example.com', path: '/v1/a/' },
      star: { host: '*.example.com' },
      deep: { host: '*.b.example.com', path: '/only' },
      path: { path: '/v1' },
    })) {
      await publish(id, route, { port });
    }
    for (const [host, path, id] of [
      ['api.example.com', '/', 'name'],
      ['API.Example.com.:8080', '/v1', 'v1'],
      ['api.example.com', '/v1?x=/v1/a', 'v1'],
      ['api.example.com', '/v1/', 'v1'],
      ['api.example.com', '/v10', 'name'],
      ['api.example.com', '/v1/a', 'v1a'],
      ['api.example.com', '/v1/a/b', 'v1a'],
      ['api.example.com', '/v1/ab', 'v1'],
      ['api.example.com', '/V1', 'name'],
      ['api.example.com', '/%761', 'name'],
      ['api.example.com', '/x/../v1', 'name'],
      ['x.example.com', '/v1', 'star'],
      ['x.b.example.com', '/', 'star'],
      ['x.b.example.com', '/only', 'deep'],
      ['example.com', '/', 'any'],
      ['xexample.com', '/v1', 'path'],
      ['[::1]:80', '/', 'any'],
    ] as const) {
      assert.equal(await asks(port, host, path), id, `${host} ${path}`);
    }
  });

  it('says what is not known: the host, or the path', async () => {
    const { published } = await publish('a', { host: 'a.example.com', path: '/v1' });
    const url = `http://127.0.0.1:${published.port}`;
    for (const version of ['--http1.1', '--http2-prior-knowledge']) {
      assert.match(
        await curl(version, '-H', 'Host: a.example.com', `${url}/v2`),
        / 404 [\s\S]*enclaver-error: NO_ROUTE\r\n[\s\S]*"code":"NO_ROUTE"/i,
      );
      assert.match(
        await curl(version, '-H', 'Host: b.example.com', `${url}/v1`),
        / 421 [\s\S]*enclaver-error: HOST_UNKNOWN\r\n/i,
      );
    }
  });

  it('refuses the route of another image, and leaves both as they were', async () => {
    const { published } = await publish('a', { host: 'a.example.com', path: '/v1' });
    const { port } = published;
    await assert.rejects(
      publish('b', { host: 'a.example.com', path: '/v1/' }, { port }),
      (error: Error & { code?: string; remedy?: string }) => {
        assert.equal(error.code, 'ROUTE_IN_USE');
        assert.match(error.message, /host a\.example\.com, path \/v1 is the route of enclave a \(a\)/);
        assert.notEqual(error.remedy, undefined);
        return true;
      },
    );
    assert.equal(await asks(port, 'a.example.com', '/v1'), 'a');
  });

  it('refuses an address where something else listens, and one route twice', async () => {
    const { published } = await publish('a');
    await assert.rejects(publish('b', {}, { port: published.port, host: '0.0.0.0' }), { code: 'PORT_IN_USE' });
    await assert.rejects(publish('a', {}, { port: published.port }), { code: 'ROUTE_IN_USE' });
  });

  it('shares a route among enclaves of one image: the one with fewer requests is asked', async () => {
    const first = await publish('a', {}, { image: 'same' });
    const { port } = first.published;
    const b = await publish('b', {}, { port, image: 'same' });
    const seen = new Set<string>();
    for (let i = 0; i < 4; i++) seen.add(await asks(port, 'x', '/'));
    assert.deepEqual([...seen].sort(), ['a', 'b']);
    const release = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const hold: RequestListener = (incoming, response) => {
      if (incoming.url !== '/hold') return void response.end('<b>');
      held.resolve();
      void release.promise.then(() => response.end('<a>'));
    };
    harness.serve('a', hold);
    harness.serve('b', hold);
    // A request with a body uses no connection that led to the apps before
    const holding = curl('-d', 'x', `http://127.0.0.1:${port}/hold`);
    await held.promise;
    const { active } = first.stats();
    const [busy, free] = active === 1 ? [first, b] : [b, first];
    const before = free.stats().requests;
    for (let i = 0; i < 3; i++) await asks(port, 'x', '/');
    assert.equal(free.stats().requests, before + 3);
    assert.equal(busy.stats().active, 1);
    release.resolve();
    await holding;
    await b.close({ drainMs: 0, shared: false });
    assert.match(await curl(`http://127.0.0.1:${port}/`), / 200 /);
  });

  it('asks no enclave that is not ready, unless there is none that is', async () => {
    const { published } = await publish('a', {}, { image: 'same', state: 'requested' });
    const { port } = published;
    assert.equal(await asks(port, 'x', '/'), 'ENCLAVE_NOT_READY');
    harness.ports.setState('a', 'ready');
    assert.equal(await asks(port, 'x', '/'), 'a');
    await publish('b', {}, { port, image: 'same', state: 'starting' });
    for (let i = 0; i < 3; i++) assert.equal(await asks(port, 'x', '/'), 'a');
    harness.ports.setState('b', 'ready');
    harness.ports.setState('a', 'unhealthy');
    for (let i = 0; i < 3; i++) assert.equal(await asks(port, 'x', '/'), 'b');
    harness.ports.setState('b', 'unhealthy');
    assert.match(await asks(port, 'x', '/'), /^[ab]$/);
  });

  it('gives the route to a new enclave of the same name', async () => {
    const { published } = await publish('a-1', {}, { name: 'a' });
    await publish('a-2', {}, { name: 'a', port: published.port });
    for (let i = 0; i < 3; i++) assert.equal(await asks(published.port, 'x', '/'), 'a-2');
  });

  it('closes the listener with its last route, and no sooner', async () => {
    const first = await publish('a', { path: '/a' });
    const { port } = first.published;
    const second = await publish('b', { path: '/b' }, { port });
    await first.close({ drainMs: 0, shared: false });
    assert.equal(await asks(port, 'x', '/b'), 'b');
    assert.equal(await asks(port, 'x', '/a'), 'NO_ROUTE');
    await second.close({ drainMs: 0, shared: false });
    await assert.rejects(asks(port, 'x', '/b'), { code: 'ECONNREFUSED' });
    assert.equal((await publish('c', {}, { port })).published.port, port);
    assert.equal(await asks(port, 'x', '/'), 'c');
  });
});
