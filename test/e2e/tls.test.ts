import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { AttestedAgent } from '@enclaver/attestation/tls';
import { KmsEmulator, selfMadePair } from '@enclaver/kms-emulator';
import { enclaver, type Running, start } from '../stack/enclaver.ts';
import { freePort } from '../stack/free-port.ts';
import { TestStack } from '../stack/stack.ts';
import { busPasswords, tracesOf } from '../stack/traces.ts';
import { buildEnclave } from './build-image.ts';

const run = promisify(execFile);

const ROLE = 'arn:aws:iam::111122223333:role/EnclaveRole';
/** As AWS makes them, and of no value: the image carries them in its environment. */
const CALLER = {
  accessKeyId: 'AKIATESTOFNOVALUE001',
  secretAccessKey: 'canary-of-an-aws-secret-key',
  principal: 'arn:aws:sts::111122223333:assumed-role/EnclaveRole/i-0123456789abcdef0',
};
const REGION = 'us-east-1';
const KEY_ID = '7d1c3a52-93a5-4dd6-bd59-3a1f1d5b1c11';
const CONTEXT = { app: 'tls' };

/** One enclave: at 8443 a key released by KMS and an attested one, at 8444 a key in the image and clients with certificates. */
describe('TLS that ends in a booted enclave', function () {
  this.timeout(240_000);

  let work: string;
  let stack: TestStack;
  let emulator: KmsEmulator;
  let enclave: Running;
  let eif: string;
  let pcr0: string;
  let root: string;
  let port: number;
  let clientsPort: number;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-e2e-'));
    const env = { ENCLAVER_NSM_DIR: join(work, 'nsm') };
    root = (await enclaver(['attest', 'root'], env)).stdout;
    await writeFile(join(work, 'root.pem'), root);
    stack = await TestStack.start({}, { ...env, ENCLAVER_LOG_LEVEL: 'trace' });
    const context = join(work, 'context');
    await mkdir(context);
    certificates(context);
    const tls = selfMadePair();
    await writeFile(join(context, 'kms-ca.pem'), tls.cert);

    // Whoever seals needs no enclave; the policy that names it comes with the image
    const material = Buffer.alloc(32, 7);
    emulator = await KmsEmulator.start({ credentials: [CALLER] });
    const { arn } = emulator.keys.createSymmetric({ id: KEY_ID, material, region: REGION });
    const pairs = Object.entries(CONTEXT).flatMap(([name, value]) => ['--context', `${name}=${value}`]);
    const sealed = await enclaver(
      [
        'tls',
        'seal-key',
        join(context, 'kms.key'),
        '--kms-key',
        arn,
        ...pairs,
        '--to',
        join(context, 'kms.key.sealed'),
      ],
      {
        AWS_ENDPOINT_URL_KMS: emulator.endpoint,
        AWS_ACCESS_KEY_ID: CALLER.accessKeyId,
        AWS_SECRET_ACCESS_KEY: CALLER.secretAccessKey,
      },
    );
    assert.equal(sealed.code, 0, sealed.stderr);
    await emulator[Symbol.asyncDispose]();

    const kmsPort = await freePort();
    await writeFile(
      join(context, 'Dockerfile'),
      'FROM enclaver-test/busybox:local\n' +
        'COPY kms.key.sealed kms.pem kms-ca.pem files.key files.pem clients.pem /srv/tls/\n' +
        `ENV AWS_ACCESS_KEY_ID=${CALLER.accessKeyId} AWS_SECRET_ACCESS_KEY="${CALLER.secretAccessKey}"\n` +
        'RUN mkdir /www && echo inside > /www/page\n' +
        'CMD ["busybox", "sh", "-c", "busybox httpd -p 127.0.0.1:8444 -h /www; exec busybox httpd -f -p 127.0.0.1:8443 -h /www"]\n',
    );
    const built = await buildEnclave({
      work,
      name: 'tls',
      context: { folder: context },
      manifest: `defaults: { cpu_count: 2, memory_mb: 768 }
kms_proxy: { listen_port: 9999, endpoints: { ${REGION}: "host:${kmsPort}" }, ca_file: /srv/tls/kms-ca.pem }
ingress:
  - listen_port: 8443
    tls:
      alpn: [http/1.1]
      certificates:
        - kms: { key: /srv/tls/kms.key.sealed, cert: /srv/tls/kms.pem, kms_key: "${arn}", encryption_context: { app: tls } }
        - attested: { names: [attested.example] }
  - listen_port: 8444
    tls: { key_file: /srv/tls/files.key, cert_file: /srv/tls/files.pem, client_ca_file: /srv/tls/clients.pem }
`,
      env: stack.env,
    });
    eif = built.eif;
    pcr0 = built.summary.Measurements.PCR0 ?? '';
    emulator = await KmsEmulator.start({
      port: kmsPort,
      credentials: [CALLER],
      roots: [new Uint8Array(new X509Certificate(root).raw)],
      tls,
    });
    emulator.keys.createSymmetric({ id: KEY_ID, material, region: REGION, policy: policyFor(pcr0) });
    port = await freePort();
    clientsPort = await freePort();
    enclave = start(['run', eif, '-p', `127.0.0.1:${port}:8443`, '-p', `127.0.0.1:${clientsPort}:8444`], stack.env);
    await enclave.seen(/ ready/);
  });

  after(async () => {
    enclave?.process.kill('SIGTERM');
    if (enclave !== undefined) assert.equal((await enclave.finished).code, 109);
    await emulator[Symbol.asyncDispose]();
    await stack[Symbol.asyncDispose]();
    await rm(work, { recursive: true });
  });

  function certificates(folder: string): void {
    const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
    for (const [name, host] of [
      ['kms', 'enclave.example'],
      ['files', 'clients.example'],
      ['clients', 'clients'],
    ] as const) {
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
      const files = ['-keyout', `${name}.key`, '-out', `${name}.pem`];
      openssl('req', '-x509', ...key, ...files, '-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`);
    }
  }

  const file = (name: string): string => join(work, 'context', name);

  const curl = (name: string, to: number, ...more: string[]) =>
    run('curl', [
      ...['--silent', '--show-error', '--resolve', `${name}:${to}:127.0.0.1`],
      ...more,
      `https://${name}:${to}/page`,
    ]);

  it('uses a key that KMS released to this image, for TLS 1.2 and 1.3', async () => {
    assert.deepEqual(emulator.asked, ['Decrypt']);
    const trusted = ['--cacert', file('kms.pem')];
    assert.equal((await curl('enclave.example', port, ...trusted, '--tlsv1.3')).stdout, 'inside\n');
    assert.equal((await curl('enclave.example', port, ...trusted, '--tls-max', '1.2')).stdout, 'inside\n');
  });

  it('has that key nowhere in the image (fault D11)', async () => {
    const image = await readFile(eif);
    const inImage = async (name: string): Promise<boolean[]> => {
      const pem = await readFile(file(name), 'utf8');
      const { d = '' } = createPrivateKey(pem).export({ format: 'jwk' });
      // As PEM, as DER, and as the number that is the secret
      const [, base64 = ''] = pem.split(/-----[^-]+-----/);
      const forms = [base64.trim(), Buffer.from(base64, 'base64'), Buffer.from(d, 'base64url')];
      return forms.map((form) => image.includes(form));
    };
    assert.deepEqual(await inImage('kms.key'), [false, false, false]);
    // The search finds what is there
    assert.deepEqual(await inImage('files.key'), [true, false, false]);
  });

  it('leaves no trace of keys and credentials in what its components have said or kept', async () => {
    const pemLine = async (name: string): Promise<string> => (await readFile(file(name), 'utf8')).split('\n')[2] ?? '';
    const secrets = {
      'secret key of AWS': CALLER.secretAccessKey,
      'key from KMS': await pemLine('kms.key'),
      'key of the image': await pemLine('files.key'),
      ...(await busPasswords(stack)),
    };
    for (const [name, secret] of Object.entries(secrets)) assert.ok(secret.length >= 20, name);
    const logs = await enclaver(['logs', 'tls', '--debug', '-o', 'json'], stack.env);
    assert.match(logs.stdout, /"stream":"odyn"/);
    const said = { logs: logs.stdout + logs.stderr, run: enclave.stdout + enclave.stderr };
    assert.deepEqual(await tracesOf(secrets, stack, said), []);
  });

  it('shows an attested key, which the library, the command and curl hold against the image', async () => {
    const address = `127.0.0.1:${port}`;
    const named = ['--servername', 'attested.example', '--root', join(work, 'root.pem')];
    const verdict = await enclaver([
      'attest',
      'tls',
      address,
      ...named,
      '--pcr0',
      pcr0,
      '--max-age',
      '10m',
      '-o',
      'json',
    ]);
    assert.equal(verdict.code, 0, verdict.stderr);
    const { pin } = JSON.parse(verdict.stdout);
    const pinned = ['--insecure', '--pinnedpubkey', pin];
    assert.equal((await curl('attested.example', port, ...pinned)).stdout, 'inside\n');
    await assert.rejects(curl('enclave.example', port, ...pinned), /public key does not match/);

    const peer = {
      roots: [new Uint8Array(new X509Certificate(root).raw)],
      expect: { pcrs: new Map([[0, Buffer.from(pcr0, 'hex')]]) },
    };
    const options = { host: '127.0.0.1', port, path: '/page', servername: 'attested.example' };
    const [response] = await once(get({ ...options, agent: new AttestedAgent(peer) }), 'response');
    assert.equal(await text(response), 'inside\n');
    const other = await enclaver(['attest', 'tls', address, ...named, '--pcr0', 'ab'.repeat(48)]);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /^error\[ATTESTATION_PCR\]/m);
  });

  it('goes on with an earlier session of openssl s_client', async () => {
    const session = join(work, 'session');
    const ask = async (...more: string[]): Promise<string> => {
      const args = ['-connect', `127.0.0.1:${port}`, '-servername', 'enclave.example', ...more];
      const client = spawn('openssl', ['s_client', ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
      // The tickets of TLS 1.3 come before the answer, which ends the connection
      client.stdin.write('GET /page HTTP/1.0\r\n\r\n');
      return text(client.stdout);
    };
    assert.match(await ask('-sess_out', session), /^New, TLSv1\.3/m);
    const again = await ask('-sess_in', session);
    assert.match(again, /^Reused, TLSv1\.3/m);
    assert.match(again, /^inside$/m);
  });

  it('lets clients with a certificate in, and no others', async () => {
    const trusted = ['--cacert', file('files.pem')];
    const known = ['--cert', file('clients.pem'), '--key', file('clients.key')];
    assert.equal((await curl('clients.example', clientsPort, ...trusted, ...known)).stdout, 'inside\n');
    await assert.rejects(curl('clients.example', clientsPort, ...trusted), /certificate required/);
  });
});

/** Decrypt for this image alone, with the context that the key was sealed with. */
function policyFor(pcr0: string): object {
  const condition = {
    'kms:RecipientAttestation:PCR0': pcr0,
    'kms:EncryptionContext:app': CONTEXT.app,
  };
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { AWS: ROLE },
        Action: 'kms:Decrypt',
        Resource: '*',
        Condition: { StringEquals: condition },
      },
    ],
  };
}
