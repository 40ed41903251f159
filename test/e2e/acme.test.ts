import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID, X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openDevelopmentRoot } from '@enclaver/attestation/simulator';
import { ACCOUNT, KmsEmulator, selfMadePair } from '@enclaver/kms-emulator';
import { Pebble } from '../../odyn/test/pebble.ts';
import { busyboxLayer } from '../images/busybox.ts';
import { writeOciLayout } from '../images/image.ts';
import { tar } from '../images/tar.ts';
import { enclaver, start } from '../stack/enclaver.ts';
import { freePort } from '../stack/free-port.ts';
import { TestStack } from '../stack/stack.ts';

const run = promisify(execFile);
const NAME = 'enclave.example';
const REGION = 'us-east-1';
const CREDENTIALS = { accessKeyId: 'AKIATESTONLY00000001', secretAccessKey: 'of-no-value' };

describe('certificates by ACME in a booted enclave', function () {
  this.timeout(300_000);

  let work: string;
  let stack: TestStack;
  let pebble: Pebble;
  let kms: KmsEmulator;
  let port: number;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-acme-'));
    const nsm = join(work, 'nsm');
    port = await freePort();
    const root = await openDevelopmentRoot(nsm);
    pebble = await Pebble.start({ validationPort: port });
    kms = await KmsEmulator.start({ credentials: [CREDENTIALS], roots: [root.certificate], tls });
    stack = await TestStack.start({}, { ENCLAVER_NSM_DIR: nsm });
  });

  after(async () => {
    await stack?.[Symbol.asyncDispose]();
    await kms?.[Symbol.asyncDispose]();
    await pebble?.[Symbol.asyncDispose]();
    await rm(work, { recursive: true });
  });

  const tls = selfMadePair();

  /** An enclave whose account, key and certificate only its own measurement opens. */
  async function build(): Promise<string> {
    const key = randomUUID();
    const files = tar([
      { name: 'etc/acme-ca.pem', content: pebble.ca },
      { name: 'etc/kms-ca.pem', content: tls.cert },
      { name: 'www/' },
      { name: 'www/page', content: 'inside\n' },
    ]);
    const Env = [
      'PATH=/bin',
      `AWS_ACCESS_KEY_ID=${CREDENTIALS.accessKeyId}`,
      `AWS_SECRET_ACCESS_KEY=${CREDENTIALS.secretAccessKey}`,
    ];
    const Cmd = ['busybox', 'httpd', '-f', '-p', '127.0.0.1:8443', '-h', '/www'];
    await writeOciLayout(join(work, 'image'), [
      { image: { layers: [await busyboxLayer(), files], config: { Env, Cmd } } },
    ]);
    const manifest = `
version: v1
name: acme
target: acme:enclave
sources: { app: "oci:./image" }
defaults: { cpu_count: 2, memory_mb: 768 }
kms_proxy:
  listen_port: 9000
  endpoints: { ${REGION}: "host:${new URL(kms.endpoint).port}" }
  ca_file: /etc/kms-ca.pem
ingress:
  - listen_port: 8443
    tls:
      certificates:
        - acme:
            domains: [${NAME}]
            directory: https://host:${pebble.port}/dir
            ca_file: /etc/acme-ca.pem
            terms_of_service_agreed: true
            kms_key: arn:aws:kms:${REGION}:${ACCOUNT}:key/${key}
`;
    await writeFile(join(work, 'enclaver.yaml'), manifest);
    const eif = join(work, 'acme.eif');
    const built = await enclaver(
      ['build', '-f', join(work, 'enclaver.yaml'), '--eif-only', eif, '-o', 'json'],
      stack.env,
    );
    assert.equal(built.code, 0, built.stderr);
    const { PCR0 } = JSON.parse(built.stdout).Measurements;
    const Condition = { StringEqualsIgnoreCase: { 'kms:RecipientAttestation:PCR0': PCR0 } };
    const allow = {
      Effect: 'Allow',
      Principal: { AWS: '*' },
      Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
      Resource: '*',
    };
    kms.keys.createSymmetric({ id: key, policy: { Version: '2012-10-17', Statement: [{ ...allow, Condition }] } });
    return eif;
  }

  it('are what curl verifies, and survive a restart', async () => {
    const eif = await build();
    const root = join(work, 'root.pem');
    await writeFile(root, await pebble.root());
    const serials = new Set<string>();
    for (const _boot of [1, 2]) {
      const enclave = start(['run', eif, '-p', `127.0.0.1:${port}:8443`], stack.env);
      await enclave.seen(/ ready/);
      const to = ['--cacert', root, '--resolve', `${NAME}:${port}:127.0.0.1`, `https://${NAME}:${port}/page`];
      const { stdout, stderr } = await run('curl', [
        '--silent',
        '--show-error',
        '--write-out',
        '%{stderr}%{certs}',
        ...to,
      ]);
      assert.equal(stdout, 'inside\n');
      const pem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(stderr)?.[0] ?? assert.fail(stderr);
      serials.add(new X509Certificate(pem).serialNumber);
      enclave.process.kill('SIGTERM');
      assert.equal((await enclave.finished).code, 109);
    }
    assert.equal(serials.size, 1);
    assert.equal(pebble.orders, 1);
  });
});
