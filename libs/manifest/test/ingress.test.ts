import assert from 'node:assert/strict';
import { needsPeer, parseManifest } from '../src/index.ts';
import { minimal, problemsOf } from './support.ts';

const port = (more: string): string => minimal(`ingress:\n  - listen_port: 80\n    ${more}\n`);
const entryOf = (more: string) => parseManifest(port(more)).ingress[0] ?? assert.fail('no port');
const pathsOf = (more: string): (string | number)[][] => problemsOf(port(more)).map(({ code, path }) => [code, path]);

describe('ingress ports of a manifest', () => {
  it('have client rules and limits, with what they default to', () => {
    assert.deepEqual(entryOf('clients: {allow: [10.0.0.0/8, "2001:db8::/32"], deny: [10.9.0.0/16]}'), {
      listenPort: 80,
      clients: { allow: ['10.0.0.0/8', '2001:db8::/32'], deny: ['10.9.0.0/16'] },
    });
    assert.deepEqual(entryOf('clients: {deny: [192.0.2.7]}').clients, { deny: ['192.0.2.7'] });
    const all =
      '{listen_port: 80, proxy_protocol: true, max_connections: 5, rate_limit: {connections_per_second: 7}, idle_timeout_seconds: 9}';
    assert.deepEqual(parseManifest(minimal(`ingress: [${all}]`)).ingress, [
      {
        listenPort: 80,
        proxyProtocol: true,
        maxConnections: 5,
        rateLimit: { connectionsPerSecond: 7, burst: 7 },
        idleTimeoutSeconds: 9,
      },
    ]);
    assert.deepEqual(entryOf('rate_limit: {connections_per_second: 7, burst: 1}').rateLimit?.burst, 1);
    assert.deepEqual(entryOf('proxy_protocol: false'), { listenPort: 80 });
  });

  it('want to know the peer where somebody inside looks at it, and only there', () => {
    for (const [line, needs] of [
      ['clients: {deny: [192.0.2.7]}', true],
      ['proxy_protocol: true', true],
      ['proxy_protocol: false', false],
      ['max_connections: 1', false],
      ['rate_limit: {connections_per_second: 1}', false],
    ] as const) {
      assert.equal(needsPeer(entryOf(line)), needs, line);
    }
  });

  it('refuse what is no range and no number within its bounds', () => {
    for (const [line, path] of [
      ['clients: {allow: []}', 'ingress[0].clients.allow'],
      ['clients: {allow: [10.0.0.0/33]}', 'ingress[0].clients.allow[0]'],
      ['clients: {deny: [example.com]}', 'ingress[0].clients.deny[0]'],
      ['clients: {deny: ["10.0.0.1:80"]}', 'ingress[0].clients.deny[0]'],
      ['max_connections: 0', 'ingress[0].max_connections'],
      ['max_connections: 10001', 'ingress[0].max_connections'],
      ['rate_limit: {burst: 5}', 'ingress[0].rate_limit.connections_per_second'],
      ['rate_limit: {connections_per_second: 0.5}', 'ingress[0].rate_limit.connections_per_second'],
      ['idle_timeout_seconds: 0', 'ingress[0].idle_timeout_seconds'],
      ['idle_timeout_seconds: 1h', 'ingress[0].idle_timeout_seconds'],
      ['proxy_protocol: v2', 'ingress[0].proxy_protocol'],
    ] as const) {
      assert.deepEqual(
        problemsOf(port(line)).map((problem) => problem.path),
        [path],
        line,
      );
    }
    const many = Array.from({ length: 1001 }, (_, n) => `10.0.${n >> 8}.${n & 255}`).join(', ');
    assert.deepEqual(pathsOf(`clients: {deny: [${many}]}`), [['BAD_VALUE', 'ingress[0].clients.deny']]);
  });

  it('refuse rules that say nothing, and those that deny makes void', () => {
    assert.deepEqual(pathsOf('clients: {}'), [['CONFLICT', 'ingress[0].clients']]);
    assert.deepEqual(pathsOf('clients: {deny: []}'), [['CONFLICT', 'ingress[0].clients']]);
    for (const [allow, deny] of [
      ['10.1.0.0/16', '10.0.0.0/8'],
      ['10.1.0.0/16', '10.1.0.0/16'],
      ['"::ffff:10.1.0.0/112"', '10.0.0.0/8'],
    ]) {
      const [problem] = problemsOf(port(`clients: {allow: [192.0.2.0/24, ${allow}], deny: [${deny}]}`));
      assert.equal(problem?.path, 'ingress[0].clients.allow[1]');
      assert.match(problem?.found ?? '', /deny beats allow/);
    }
    assert.equal(entryOf('clients: {allow: [10.0.0.0/8], deny: [10.1.0.0/16]}').listenPort, 80);
  });

  it('have fewer connections with TLS', () => {
    const tls = 'tls: {key_file: a, cert_file: b}';
    assert.deepEqual(pathsOf(`max_connections: 4097\n    ${tls}`), [['CONFLICT', 'ingress[0].max_connections']]);
    assert.equal(entryOf(`max_connections: 4096\n    ${tls}`).maxConnections, 4096);
  });
});
