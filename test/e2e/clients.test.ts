import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EncryptCommand, KMSClient } from '@aws-sdk/client-kms';
import { KmsEmulator, selfMadePair } from '@enclaver/kms-emulator';
import { FakeServer } from '../../odyn/test/fake-server.ts';
import { INSTANCE, metadataAnswers, ROLE } from '../../odyn/test/kms-harness.ts';
import { enclaver, type Running, start } from '../stack/enclaver.ts';
import { freePort } from '../stack/free-port.ts';
import { TestStack } from '../stack/stack.ts';
import { buildClients, type Call, type ClientResult, readResults } from './clients/image.ts';

const REGION = 'us-east-1';
/** Where the emulator calls a document stale that is older than a millisecond: each one is. */
const STALE_REGION = 'eu-west-1';
const CONTEXT = { purpose: 'test' };
const SECRET = Buffer.from('for this image alone');
const CLIENTS = ['boto3', 'aws', 'sdk'];

const statement = (actions: readonly string[], Condition?: object) => ({
  Effect: 'Allow',
  Principal: { AWS: ROLE },
  Action: actions.map((action) => `kms:${action}`),
  Resource: '*',
  ...(Condition && { Condition }),
});
const PLAIN = statement(['Encrypt', 'DescribeKey', 'GetPublicKey']);
const ATTESTED = ['Decrypt', 'GenerateDataKey', 'GenerateDataKeyPair', 'DeriveSharedSecret'];
const policy = (registers: Record<string, string>) => ({
  Version: '2012-10-17',
  Statement: [
    PLAIN,
    statement(ATTESTED, {
      StringEqualsIgnoreCase: Object.fromEntries(
        Object.entries(registers).map(([name, value]) => [`kms:RecipientAttestation:${name}`, value]),
      ),
    }),
  ],
});

describe('clients that know nothing of an enclave, in one that is booted', function () {
  this.timeout(900_000);

  let work: string;
  let stack: TestStack;
  let metadata: FakeServer;
  let emulators: KmsEmulator[];
  let world: Server;
  let running: Running;
  let results: ClientResult[];
  let eif: string;
  let urls: string[];
  const peer = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-e2e-'));
    stack = await TestStack.start({ 'allowed.test': '127.0.0.9', 'denied.test': '127.0.0.9' });
    metadata = await new FakeServer(metadataAnswers()).start();
    world = createServer((request, response) => response.end(`answer to ${request.headers.host}`));
    world.listen(0, '127.0.0.9');
    await once(world, 'listening');
    const { port } = world.address() as AddressInfo;
    urls = [`http://allowed.test:${port}/`, `http://denied.test:${port}/`];

    const pair = selfMadePair();
    const key = { id: '6b1f2c3d-0a4e-4b5f-8c6d-7e8f9a0b1c2d', material: randomBytes(32) };
    const [CiphertextBlob, secret] = await encryptedBefore(key);
    const ports = [await freePort(), await freePort()] as const;
    const built = await buildClients({
      work,
      env: stack.env,
      ca: pair.cert,
      variables: [`AWS_REGION=${REGION}`, `AWS_EC2_METADATA_SERVICE_ENDPOINT=http://host:${metadata.port}`],
      manifest: [
        'defaults: { cpu_count: 2, memory_mb: 2048 }',
        'api: { listen_port: 7777 }',
        'kms_proxy:',
        '  listen_port: 9000',
        `  endpoints: { ${REGION}: "host:${ports[0]}", ${STALE_REGION}: "host:${ports[1]}" }`,
        '  ca_file: /etc/kms-ca.pem',
        'egress: { transparent: true, allow: ["allowed.test", "127.0.0.9"] }',
        '',
      ].join('\n'),
      calls: callsWith(CiphertextBlob, peer.publicKey.export({ type: 'spki', format: 'der' })),
      urls,
      secret,
    });
    eif = built.eif;

    const { PCR0 = '' } = built.measurements;
    const right = policy({ PCR0, ImageSha384: PCR0 });
    const { stdout: root } = await enclaver(['attest', 'root'], stack.env);
    const options = { credentials: [INSTANCE], roots: [new X509Certificate(root).raw], tls: pair };
    emulators = [
      await KmsEmulator.start({ ...options, port: ports[0] }),
      await KmsEmulator.start({ ...options, port: ports[1], documentAgeMs: 1 }),
    ];
    for (const [index, { keys }] of emulators.entries()) {
      const region = index === 0 ? REGION : STALE_REGION;
      keys.createSymmetric({ ...key, region, alias: 'alias/app', policy: right });
      keys.create({ region, alias: 'alias/pair', spec: 'ECC_NIST_P256', usage: 'KEY_AGREEMENT', policy: right });
    }
    const [{ keys }] = emulators as [KmsEmulator];
    const other = policy({ PCR0: createHash('sha384').update('another image').digest('hex') });
    keys.createSymmetric({ alias: 'alias/other', policy: other });
    keys.create({ alias: 'alias/other-pair', spec: 'ECC_NIST_P256', usage: 'KEY_AGREEMENT', policy: other });
    for (const data of ['measured by the app', 'something else']) {
      keys.createSymmetric({ alias: `alias/${data.replaceAll(' ', '-')}`, policy: policy({ PCR16: extended(data) }) });
    }

    running = start(['run', eif], stack.env);
    results = await readResults(running, { client: 'all', case: 'done' });
  });

  after(async () => {
    if (running?.process.exitCode === null) {
      running.process.kill('SIGTERM');
      await running.finished;
    }
    for (const emulator of emulators ?? []) await emulator[Symbol.asyncDispose]();
    await metadata?.close();
    world?.close();
    await stack?.[Symbol.asyncDispose]();
    await rm(work, { recursive: true, force: true });
  });

  const resultOf = (client: string, name: string): ClientResult => {
    const found = results.find((each) => each.client === client && each.case === name);
    assert.ok(found, `${client} said nothing of ${name}`);
    return found;
  };
  const answerOf = (client: string, name: string): Record<string, string> => {
    const { answer, error } = resultOf(client, name);
    assert.ok(answer, `${client}, ${name}: ${error}`);
    return answer;
  };
  const bytesOf = (client: string, name: string, field: string): Buffer =>
    Buffer.from(answerOf(client, name)[field] ?? '', 'base64');

  for (const client of CLIENTS) {
    it(`${client} gets plaintext for all five actions that attest`, () => {
      assert.deepEqual(bytesOf(client, 'right Decrypt', 'Plaintext'), SECRET);
      assert.equal(bytesOf(client, 'right GenerateDataKey', 'Plaintext').length, 32);
      assert.equal(bytesOf(client, 'right GenerateRandom', 'Plaintext').length, 24);
      assert.equal(bytesOf(client, 'right DeriveSharedSecret', 'SharedSecret').length, 32);
      const pair = answerOf(client, 'right GenerateDataKeyPair');
      const der = (field: string) => Buffer.from(pair[field] ?? '', 'base64');
      const publicOfPrivate = createPublicKey({
        key: der('PrivateKeyPlaintext'),
        format: 'der',
        type: 'pkcs8',
      } as never);
      assert.deepEqual(publicOfPrivate.export({ type: 'spki', format: 'der' }), der('PublicKey'));
      for (const { answer = {} } of results) assert.ok(!('CiphertextForRecipient' in answer));
    });

    it(`${client} gets the answers of three that do not`, () => {
      assert.ok(bytesOf(client, 'right Encrypt', 'CiphertextBlob').length > SECRET.length);
      assert.match(JSON.stringify(answerOf(client, 'right DescribeKey')), /6b1f2c3d-0a4e-4b5f-8c6d-7e8f9a0b1c2d/);
      assert.ok(
        createPublicKey({ key: bytesOf(client, 'right GetPublicKey', 'PublicKey'), format: 'der', type: 'spki' }),
      );
    });

    it(`${client} is denied the key of another image, and with a document that is stale`, () => {
      for (const action of client === 'boto3' ? ATTESTED : ['Decrypt']) {
        assert.equal(resultOf(client, `other ${action}`).error, 'AccessDeniedException');
        assert.equal(resultOf(client, `stale ${action}`).error, 'AccessDeniedException');
      }
    });
  }

  for (const language of ['python', 'node', 'go', 'ruby']) {
    it(`the program of docs/kms.md for ${language} prints the secret`, () => {
      assert.equal(resultOf(language, 'decrypt').text, SECRET.toString());
    });
  }

  it('a register that the app has extended opens the key for its value, and no key for another', () => {
    assert.equal(bytesOf('boto3', 'register right', 'Plaintext').length, 32);
    assert.equal(resultOf('boto3', 'register other').error, 'AccessDeniedException');
  });

  // Wget shows no body of an answer 401, and takes it for a question of its user's password
  const refusal = /blocked by egress security policy|^Username\/Password Authentication Failed\.$/;
  for (const name of ['curl', 'wget', 'python', 'go']) {
    it(`${name} reaches what is allowed by the proxy of its environment, and nothing else`, () => {
      const [allowed = '', denied = ''] = urls;
      assert.match(resultOf(name, `proxy ${allowed}`).text ?? '', new RegExp(`answer to ${new URL(allowed).host}`));
      assert.match(resultOf(name, `proxy ${denied}`).text ?? '', refusal);
    });
  }

  for (const name of ['curl', 'wget', 'python', 'go']) {
    it(`${name} reaches the same without a proxy`, () => {
      const [allowed = '', denied = ''] = urls;
      assert.match(
        resultOf(name, `transparent ${allowed}`).text ?? '',
        new RegExp(`answer to ${new URL(allowed).host}`),
      );
      const { text = '' } = resultOf(name, `transparent ${denied}`);
      assert.ok(text !== '' && !text.includes('answer to'), text);
    });
  }

  it('the image in debug mode is denied everything that is for it', async () => {
    running.process.kill('SIGTERM');
    await running.finished;
    running = start(['run', '--debug', eif], stack.env);
    results = await readResults(running, { client: 'boto3', case: 'done' });
    for (const action of ATTESTED) assert.equal(resultOf('boto3', `right ${action}`).error, 'AccessDeniedException');
    assert.ok(answerOf('boto3', 'right Encrypt'));
  });
});

/** A secret under a key of the emulator, from before there was an image: with an encryption context, and without. */
async function encryptedBefore(key: { id: string; material: Uint8Array }): Promise<[Buffer, Buffer]> {
  await using emulator = await KmsEmulator.start({ credentials: [INSTANCE] });
  emulator.keys.createSymmetric(key);
  const { accessKeyId, secretAccessKey, sessionToken } = INSTANCE;
  const client = new KMSClient({
    endpoint: emulator.endpoint,
    region: REGION,
    credentials: { accessKeyId, secretAccessKey, sessionToken },
  });
  const encrypt = async (context: object): Promise<Buffer> => {
    const { CiphertextBlob = [] } = await client.send(
      new EncryptCommand({ KeyId: key.id, Plaintext: SECRET, ...context }),
    );
    return Buffer.from(CiphertextBlob);
  };
  return [await encrypt({ EncryptionContext: CONTEXT }), await encrypt({})];
}

function callsWith(ciphertext: Uint8Array, peer: Buffer): Call[] {
  const CiphertextBlob = Buffer.from(ciphertext).toString('base64');
  const attested = (kind: string, region: string, key: string, pair: string): Call[] => [
    {
      case: `${kind} Decrypt`,
      action: 'Decrypt',
      region,
      arguments: { KeyId: key, CiphertextBlob, EncryptionContext: CONTEXT },
    },
    {
      case: `${kind} GenerateDataKey`,
      action: 'GenerateDataKey',
      region,
      arguments: { KeyId: key, KeySpec: 'AES_256' },
    },
    {
      case: `${kind} GenerateDataKeyPair`,
      action: 'GenerateDataKeyPair',
      region,
      arguments: { KeyId: key, KeyPairSpec: 'ECC_NIST_P256' },
    },
    {
      case: `${kind} DeriveSharedSecret`,
      action: 'DeriveSharedSecret',
      region,
      arguments: { KeyId: pair, KeyAgreementAlgorithm: 'ECDH', PublicKey: peer.toString('base64') },
    },
  ];
  const register = (name: string, KeyId: string): Call => ({
    case: `register ${name}`,
    action: 'GenerateDataKey',
    region: REGION,
    arguments: { KeyId, KeySpec: 'AES_256' },
    once: true,
  });
  return [
    { seal: 16 },
    ...attested('right', REGION, 'alias/app', 'alias/pair'),
    { case: 'right GenerateRandom', action: 'GenerateRandom', region: REGION, arguments: { NumberOfBytes: 24 } },
    {
      case: 'right Encrypt',
      action: 'Encrypt',
      region: REGION,
      arguments: { KeyId: 'alias/app', Plaintext: SECRET.toString('base64') },
    },
    { case: 'right DescribeKey', action: 'DescribeKey', region: REGION, arguments: { KeyId: 'alias/app' } },
    { case: 'right GetPublicKey', action: 'GetPublicKey', region: REGION, arguments: { KeyId: 'alias/pair' } },
    ...onceButFirst(attested('other', REGION, 'alias/other', 'alias/other-pair')),
    ...onceButFirst(attested('stale', STALE_REGION, 'alias/app', 'alias/pair')),
    register('right', 'alias/measured-by-the-app'),
    register('other', 'alias/something-else'),
  ];
}

/** By all clients the first one only: programs take seconds to start where the machine is emulated. */
function onceButFirst(calls: readonly Call[]): Call[] {
  return calls.map((call, index) => (index === 0 ? call : { ...call, once: true }));
}

/** A register that was zeros, after this was put into it. */
function extended(data: string): string {
  return createHash('sha384').update(Buffer.alloc(48)).update(data).digest('hex');
}
