import assert from 'node:assert/strict';
import { Bench, manifest, refusal } from './support.ts';

describe('builder: files that the manifest names', () => {
  let bench: Bench;

  beforeEach(async () => {
    bench = await Bench.create();
    await bench.writeImage([
      { name: 'srv/key.pem', content: 'key' },
      { name: 'srv/cert.pem', content: 'certificate' },
      { name: 'etc/enclaver/tls/server/8444/key.pem', content: 'key' },
      { name: 'etc/enclaver/tls/server/8444/cert.pem', content: 'certificate' },
    ]);
  });

  afterEach(() => bench[Symbol.asyncDispose]());

  const port = (number: number, tls: string): string =>
    manifest('oci:./image', `ingress:\n  - listen_port: ${number}\n    tls: { ${tls} }\n`);

  const certificate = (fields: string): string =>
    `certificates: [{ kms: { ${fields}, kms_key: "arn:aws:kms:eu-west-1:111122223333:key/1" } }]`;

  it('takes files at the paths of the manifest, or where the original has them, and says that the key is in the image', async () => {
    const warnings: string[] = [];
    const onWarning = (text: string): void => void warnings.push(text);
    await bench.build({ manifest: port(8443, 'key_file: /srv/key.pem, cert_file: srv/cert.pem'), onWarning });
    await bench.build({ manifest: port(8444, 'key_file: unused, cert_file: unused'), onWarning });
    assert.equal(warnings.length, 2);
    assert.match(warnings[0] ?? '', /8443 is in the image/);
  });

  it('refuses an image without one of them', async () => {
    for (const [tls, missing] of [
      ['key_file: /srv/none, cert_file: /srv/cert.pem', /8443: the image has no \/srv\/none and no \/etc\/enclaver/],
      ['key_file: /srv/key.pem, cert_file: /none', /no \/none/],
      ['key_file: /srv/key.pem, cert_file: /srv/cert.pem, client_ca_file: /srv/ca.pem', /no \/srv\/ca\.pem/],
    ] as const) {
      await assert.rejects(bench.build({ manifest: port(8443, tls) }), refusal('TLS_FILE', missing));
    }
    assert.deepEqual(await bench.leavings(), []);
  });

  it('refuses a key for KMS that is not sealed, and takes one that is', async () => {
    await bench.writeImage([
      { name: 'srv/plain', content: '-----BEGIN PRIVATE KEY-----\n' },
      { name: 'srv/sealed', content: Buffer.from('AQICAHg=') },
    ]);
    const tls = (key: string): string => port(8443, certificate(`key: ${key}, cert: "https://host/cert.pem"`));
    await assert.rejects(
      bench.build({ manifest: tls('/srv/plain') }),
      refusal('TLS_FILE', /8443: \/srv\/plain: .* not sealed at all/),
    );
    await bench.build({ manifest: tls('/srv/sealed') });
  });

  it('follows symlinks to keys and certificates, as the enclave does', async () => {
    await bench.writeImage([
      { name: 'live/plain', content: '-----BEGIN PRIVATE KEY-----\n' },
      { name: 'live/sealed', content: Buffer.from('AQICAHg=') },
      { name: 'live/cert.pem', content: 'certificate' },
      { name: 'srv/plain', link: 'again' },
      { name: 'srv/again', link: '/live/../live/plain' },
      { name: 'srv/sealed', link: '../live/sealed' },
      { name: 'srv/cert.pem', link: '../../../live/cert.pem' },
      { name: 'srv/none', link: '/run/none' },
      { name: 'srv/below', link: '/live/plain/below' },
      { name: 'srv/circle', link: 'circle' },
    ]);
    const tls = (key: string, cert = '/srv/cert.pem'): string => port(8443, certificate(`key: ${key}, cert: ${cert}`));
    await bench.build({ manifest: tls('/srv/sealed') });
    await assert.rejects(bench.build({ manifest: tls('/srv/plain') }), refusal('TLS_FILE', /not sealed at all/));
    for (const manifest of [tls('/srv/none'), tls('/srv/sealed', '/srv/none')]) {
      await assert.rejects(bench.build({ manifest }), refusal('TLS_FILE', /the image has no \/srv\/none/));
    }
    for (const path of ['/srv/below', '/srv/circle']) {
      await assert.rejects(bench.build({ manifest: tls(path) }), refusal('IMAGE_INVALID', /no folder|symlinks/));
    }
  });

  it('refuses an image without a file of a certificate by KMS, or of the proxy', async () => {
    for (const fields of [
      'key: /srv/none, cert: https://host/cert.pem',
      'key: https://host/key, cert: /srv/none',
      'key: /srv/key.pem, cert: https://host/cert.pem, ca_file: /srv/none',
    ]) {
      const tls = port(8443, certificate(fields));
      await assert.rejects(bench.build({ manifest: tls }), refusal('TLS_FILE', /8443: the image has no \/srv\/none/));
    }
    const kms = manifest('oci:./image', 'kms_proxy: { listen_port: 1, ca_file: /srv/none }\n');
    await assert.rejects(
      bench.build({ manifest: kms }),
      refusal('KMS_FILE', /kms_proxy.ca_file: the image has no \/srv/),
    );
    assert.deepEqual(await bench.leavings(), []);
  });
});
