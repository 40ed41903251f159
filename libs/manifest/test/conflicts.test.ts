import assert from 'node:assert/strict';
import { needsEgress, parseManifest } from '../src/index.ts';
import { minimal, problemsOf } from './support.ts';

describe('conflicts in a manifest', () => {
  const conflicts = (more: string): (string | number)[][] =>
    problemsOf(minimal(more)).map(({ code, path, line, found }) => [code, path, line, found]);

  it('refuses one port for two listeners', () => {
    assert.deepEqual(conflicts('ingress:\n  - listen_port: 80\n  - listen_port: 80\n'), [
      ['CONFLICT', 'ingress[1].listen_port', 8, 'port 80, which ingress[0].listen_port already has'],
    ]);
    assert.deepEqual(conflicts('api: {listen_port: 80}\ningress:\n  - listen_port: 80\n'), [
      ['CONFLICT', 'ingress[0].listen_port', 8, 'port 80, which api.listen_port already has'],
    ]);
    assert.deepEqual(conflicts('egress: {allow: [a]}\nkms_proxy: {listen_port: 10000}\n'), [
      ['CONFLICT', 'kms_proxy.listen_port', 7, 'port 10000, which egress.proxy_port (by default) already has'],
    ]);
    assert.deepEqual(conflicts('egress: {proxy_port: 1}\napi: {listen_port: 1}\n'), [
      ['CONFLICT', 'api.listen_port', 7, 'port 1, which egress.proxy_port already has'],
    ]);
  });

  it('refuses the port of the resolver where egress is transparent, and only there', () => {
    const egress = (transparent: boolean) => `egress: {transparent: ${transparent}}\ningress: [{listen_port: 53}]\n`;
    assert.deepEqual(conflicts(egress(true)), [
      ['CONFLICT', 'ingress[0].listen_port', 7, 'port 53, which egress.transparent already has'],
    ]);
    assert.equal(parseManifest(minimal(egress(false))).egress?.transparent, undefined);
    assert.equal(parseManifest(minimal('egress: {transparent: true}')).egress?.transparent, true);
    assert.equal(parseManifest(minimal('privileged: true')).privileged, true);
    assert.equal(parseManifest(minimal('metrics: true')).metrics, true);
    assert.equal('metrics' in parseManifest(minimal('metrics: false')), false);
  });

  it('refuses reserved vsock ports for ingress, and only there', () => {
    for (const port of [17000, 17001, 17002]) {
      assert.match(String(conflicts(`ingress: [{listen_port: ${port}}]`)[0]?.[3]), /which is reserved for/);
      assert.equal(parseManifest(minimal(`egress: {proxy_port: ${port}}`)).egress?.proxyPort, port);
    }
  });

  it('says who needs a way out', () => {
    const needs = (more: string) => needsEgress(parseManifest(minimal(more)));
    assert.equal(needs(''), false);
    assert.equal(needs('egress: {allow: []}\napi: {listen_port: 1}'), false);
    assert.equal(needs('egress: {allow: [a]}'), true);
    assert.equal(needs('kms_proxy: {listen_port: 1}'), true);
    const sealed = 'kms: {key: k, cert: c, kms_key: "arn:aws:kms:eu-west-1:111122223333:key/mrk-0"}';
    const acme =
      'acme: {domains: [a], terms_of_service_agreed: true, kms_key: "arn:aws:kms:eu-west-1:111122223333:key/mrk-0"}';
    for (const [certificate, expected] of [
      [sealed, true],
      [acme, true],
      ['attested: {names: [a]}', false],
    ] as const) {
      assert.equal(needs(`ingress: [{listen_port: 443, tls: {certificates: [{${certificate}}]}}]`), expected);
    }
  });

  it('does not count the default proxy port when there is no egress', () => {
    assert.equal(parseManifest(minimal('ingress: [{listen_port: 10000}]')).ingress.length, 1);
  });

  it('refuses both names of a source', () => {
    const both = minimal('  odyn: a\n  supervisor: b\n  sleeve: c\n  wrapper: d\n');
    assert.deepEqual(
      problemsOf(both).map(({ code, path, line }) => [code, path, line]),
      [
        ['CONFLICT', 'sources.supervisor', 7],
        ['CONFLICT', 'sources.wrapper', 9],
      ],
    );
  });

  it('wants one certificate or several of a port with TLS, each of one source', () => {
    const port = (tls: string): string => `ingress: [{listen_port: 443, tls: {${tls}}}]`;
    const pair = 'key_file: k, cert_file: c';
    for (const [tls, path] of [
      ['alpn: [h2]', 'ingress[0].tls'],
      ['cert_file: c', 'ingress[0].tls.key_file'],
      [`${pair}, certificates: [{files: {${pair}}}]`, 'ingress[0].tls.certificates'],
      ['certificates: []', 'ingress[0].tls.certificates'],
      ['certificates: [{}]', 'ingress[0].tls.certificates[0]'],
      [`certificates: [{files: {${pair}}, attested: {names: [a]}}]`, 'ingress[0].tls.certificates[0]'],
      ['certificates: [{attested: {names: ["*.a"]}}]', 'ingress[0].tls.certificates[0].attested.names[0]'],
      ['certificates: [{kms: {key: "http://a/k", cert: c, kms_key: KEY}}]', 'ingress[0].tls.certificates[0].kms.key'],
      ['certificates: [{kms: {key: k, cert: c, kms_key: "alias/a"}}]', 'ingress[0].tls.certificates[0].kms.kms_key'],
    ] as const) {
      const key = 'arn:aws:kms:eu-west-1:111122223333:key/mrk-0';
      assert.deepEqual(
        problemsOf(minimal(port(tls.replace('KEY', key)))).map((problem) => problem.path),
        [path],
      );
    }
  });

  it('speaks beside other problems', () => {
    const text = 'name: 1\ningress: [{listen_port: 80}, {listen_port: 80}]\n';
    assert.ok(problemsOf(text).some(({ code }) => code === 'CONFLICT'));
  });
});
