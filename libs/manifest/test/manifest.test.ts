import assert from 'node:assert/strict';
import { parseManifest } from '../src/index.ts';
import { minimal, problemsOf, refusalOf } from './support.ts';

const everything = (odyn: string, sleeve: string): string => `
version: v1
name: payments
target: registry.example.com/payments:enclave
sources:
  app: registry.example.com/payments:1.4.0
  ${odyn}: registry.example.com/odyn:v0.6.1
  ${sleeve}: registry.example.com/wrapper-base:v0.6.1
signature:
  certificate: ./signing/cert.pem
  key: ./signing/key.pem
defaults: { cpu_count: 4, memory_mb: 6144 }
ingress:
  - listen_port: 8080
  - listen_port: 8443
    tls: { key_file: unused, cert_file: unused }
egress:
  proxy_port: 10001
  allow: ["kms.*.amazonaws.com", "169.254.169.254", "**.example.com", "10.0.0.0/8", "host"]
  deny: ["secret.example.com", "10.9.0.0/16"]
kms_proxy:
  listen_port: 9999
  endpoints: { us-gov-west-1: "kms-fips.us-gov-west-1.amazonaws.com", eu-west-1: "localhost:8443" }
  ca_file: /etc/kms-ca.pem
api: { listen_port: 7777 }
spire:
  server_addr: https://host:8081
  ca_cert: /etc/spire/ca.crt
  trust_domain: example.org
  svid_dir: /var/run/spiffe
`;

describe('parseManifest', () => {
  for (const [version, odyn, sleeve] of [
    ['0.5.0', 'supervisor', 'wrapper'],
    ['0.6.1', 'odyn', 'sleeve'],
    ['mixed', 'supervisor', 'sleeve'],
  ] as const) {
    it(`reads every key, with the names of ${version}`, () => {
      assert.deepEqual(parseManifest(everything(odyn, sleeve)), {
        version: 'v1',
        name: 'payments',
        target: 'registry.example.com/payments:enclave',
        sources: {
          app: 'registry.example.com/payments:1.4.0',
          odyn: 'registry.example.com/odyn:v0.6.1',
          sleeve: 'registry.example.com/wrapper-base:v0.6.1',
        },
        signature: { certificate: './signing/cert.pem', key: './signing/key.pem' },
        ingress: [
          { listenPort: 8080 },
          {
            listenPort: 8443,
            tls: {
              certificates: [
                {
                  source: 'files',
                  keyFiles: ['unused', '/etc/enclaver/tls/server/8443/key.pem'],
                  certFiles: ['unused', '/etc/enclaver/tls/server/8443/cert.pem'],
                },
              ],
              alpn: [],
            },
          },
        ],
        egress: {
          proxyPort: 10001,
          allow: ['kms.*.amazonaws.com', '169.254.169.254', '**.example.com', '10.0.0.0/8', 'host'],
          deny: ['secret.example.com', '10.9.0.0/16'],
        },
        limits: { pids: 4096 },
        defaults: { cpuCount: 4, memoryMb: 6144 },
        kmsProxy: {
          listenPort: 9999,
          endpoints: { 'us-gov-west-1': 'kms-fips.us-gov-west-1.amazonaws.com', 'eu-west-1': 'localhost:8443' },
          caFile: '/etc/kms-ca.pem',
        },
        api: { listenPort: 7777 },
        spire: {
          serverAddr: 'https://host:8081',
          caCert: '/etc/spire/ca.crt',
          trustDomain: 'example.org',
          svidDir: '/var/run/spiffe',
          workloadApiAddr: '127.0.0.1:5000',
        },
      });
    });
  }

  it('applies the defaults', () => {
    assert.deepEqual(parseManifest(minimal('egress: {}\n')), {
      version: 'v1',
      name: 'app',
      target: 'app:enclave',
      sources: { app: 'app:1' },
      ingress: [],
      egress: { proxyPort: 10000, allow: [], deny: [] },
      limits: { pids: 4096 },
      defaults: { cpuCount: 2, memoryMb: 4096 },
    });
  });

  it('reads the bounds of the app, and refuses those that nothing could run within', () => {
    const { limits } = parseManifest(minimal('limits: { memory_mb: 512, pids: 64, open_files: 1024 }\n'));
    assert.deepEqual(limits, { memoryMb: 512, pids: 64, openFiles: 1024 });
    for (const wrong of ['memory_mb: 15', 'pids: 0', 'open_files: 15', 'open_files: 1048577', 'memory: 1g']) {
      assert.match(
        problemsOf(minimal(`limits: { ${wrong} }\n`))
          .map(({ path }) => path)
          .join(),
        /^limits\./,
        wrong,
      );
    }
  });

  it('takes a key without a value for a missing one, as upstream does', () => {
    const sections = ['signature', 'ingress', 'egress', 'defaults', 'kms_proxy', 'api', 'spire'];
    assert.deepEqual(parseManifest(minimal(sections.map((key) => `${key}:\n`).join(''))), parseManifest(minimal()));
    assert.deepEqual(parseManifest(minimal('egress:\n  proxy_port:\n  allow:\n  deny: ~\n')).egress, {
      proxyPort: 10000,
      allow: [],
      deny: [],
    });
  });

  it('reads bytes, a byte order mark, CRLF and anchors', () => {
    const text = minimal('egress:\n  allow: &a [example.com]\n  deny: *a\n').replaceAll('\n', '\r\n');
    const read = parseManifest(Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(text)]));
    assert.deepEqual(read.egress?.deny, ['example.com']);
  });

  it('takes local images for the application only', () => {
    for (const app of [
      'docker-archive:./app.tar',
      'oci-archive:app.tar',
      'oci-archive:app.tar:v1',
      'oci:/images/app:v1',
    ]) {
      assert.equal(parseManifest(minimal().replace('app: app:1', `app: ${app}`)).sources.app, app);
    }
    const [problem] = problemsOf(minimal().replace('target: app:enclave', 'target: docker-archive:./a'));
    assert.equal(problem?.path, 'target');
  });

  it('names every problem at once, each with its place', () => {
    const text = [
      'version: v2',
      'nmae: app',
      'target: App:1',
      'sources:',
      '  app: 5',
      'defaults: { cpu_count: 0, memory_mb: 63 }',
      'ingress:',
      '  - listen_port: 70000',
      '  - lisen_port: 80',
      'egress:',
      '  allow: [ok.example.com, 10.0.0.0/33]',
    ].join('\n');
    const found = problemsOf(text).map(({ code, line, column, path }) => [code, line, column, path]);
    assert.deepEqual(found, [
      ['MISSING_KEY', 1, 1, 'name'],
      ['BAD_VALUE', 1, 10, 'version'],
      ['UNKNOWN_KEY', 2, 1, 'nmae'],
      ['BAD_VALUE', 3, 9, 'target'],
      ['WRONG_TYPE', 5, 8, 'sources.app'],
      ['BAD_VALUE', 6, 24, 'defaults.cpu_count'],
      ['BAD_VALUE', 6, 38, 'defaults.memory_mb'],
      ['BAD_VALUE', 8, 18, 'ingress[0].listen_port'],
      ['MISSING_KEY', 9, 5, 'ingress[1].listen_port'],
      ['UNKNOWN_KEY', 9, 5, 'ingress[1].lisen_port'],
      ['BAD_VALUE', 11, 27, 'egress.allow[1]'],
    ]);
  });

  it('writes a message of one line for each problem', () => {
    const error = refusalOf(minimal('egres: {}\napi: {listen_port: 0}\n'));
    assert.equal(error.code, 'MANIFEST_INVALID');
    assert.equal(
      error.message,
      'enclaver.yaml:6:1: egres: found the unknown key "egres"; allowed: version, name, target, sources, signature, ' +
        'ingress, egress, health, clock, metrics, privileged, limits, defaults, kms_proxy, api, spire (did you mean "egress"?)\n' +
        'enclaver.yaml:7:20: api.listen_port: found 0; allowed: a port number, 1 to 65535',
    );
  });

  it('names the file it was given', () => {
    assert.throws(() => parseManifest('a', { file: 'conf/x.yaml' }), /^ManifestError: conf\/x\.yaml:1:1: found "a"/);
  });

  it('guesses what a mistyped key meant', () => {
    const guesses = [
      ['ingres: []', 'ingress'],
      ['kmsProxy: {}', 'kms_proxy'],
      ['KMS_PROXY: {}', 'kms_proxy'],
      ['defualts: {}', 'defaults'],
      ['egress: {proxyport: 1}', 'proxy_port'],
      ['ingress: [{listen_port: 80, tsl: {}}]', 'tls'],
      ['sources2: {}', 'sources'],
    ] as const;
    for (const [line, meant] of guesses) {
      assert.equal(problemsOf(minimal(line))[0]?.remedy, `did you mean "${meant}"?`);
    }
    assert.equal(problemsOf(minimal('volumes: []'))[0]?.remedy, undefined);
    assert.equal(problemsOf(minimal(`${'x'.repeat(500)}: 1`))[0]?.remedy, undefined);
  });

  it('refuses keys that JavaScript objects have by nature', () => {
    for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      assert.deepEqual(
        problemsOf(minimal(`${key}: {}\n`)).map(({ code, path, line }) => [code, path, line]),
        [['UNKNOWN_KEY', key, 6]],
      );
    }
  });

  it('refuses values that are not what they seem', () => {
    const cases = [
      ['name: app', 'name: 5', 'name'],
      ['name: app', 'name: ""', 'name'],
      ['name: app', 'name: "a\\nb"', 'name'],
      ['version: v1', 'version: 1', 'version'],
      ['target: app:enclave', `target: app@sha256:${'a'.repeat(64)}`, 'target'],
      ['sources:\n  app: app:1', 'sources: app:1', 'sources'],
      ['sources:\n  app: app:1', 'sources: {}', 'sources.app'],
    ] as const;
    for (const [from, to, path] of cases) {
      assert.deepEqual(
        problemsOf(minimal().replace(from, to)).map((problem) => problem.path),
        [path],
      );
    }
    const more = [
      ['ingress: {listen_port: 80}', 'ingress'],
      ['ingress: [{listen_port: "80"}]', 'ingress[0].listen_port'],
      ['ingress: [{listen_port: 80.5}]', 'ingress[0].listen_port'],
      ['ingress: [{listen_port: 80, tls: {key_file: a}}]', 'ingress[0].tls.cert_file'],
      ['egress: {allow: example.com}', 'egress.allow'],
      ['defaults: {memory_mb: 4GB}', 'defaults.memory_mb'],
      ['defaults: {cpu_count: -2}', 'defaults.cpu_count'],
      ['signature: {certificate: cert.pem}', 'signature.key'],
      [
        'egress: {allow: [a]}\nkms_proxy: {listen_port: 1, endpoints: {us-east-1: "https://x"}}',
        'kms_proxy.endpoints.us-east-1',
      ],
      [
        'egress: {allow: [a]}\nkms_proxy: {listen_port: 1, endpoints: {us-east-1: "x:99999"}}',
        'kms_proxy.endpoints.us-east-1',
      ],
      [
        'egress: {allow: [a]}\nkms_proxy: {listen_port: 1, endpoints: {"US EAST": x}}',
        'kms_proxy.endpoints["US EAST"]',
      ],
    ] as const;
    for (const [line, path] of more) {
      assert.deepEqual(
        problemsOf(minimal(line)).map((problem) => problem.path),
        [path],
      );
    }
  });
});
