import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { inspect } from 'node:util';
import { signatureSection } from '@enclaver/eif';
import { type KeySpec, KmsEmulator, type NewKey } from '@enclaver/kms-emulator';
import { openSigner } from '../src/index.ts';
import { certify, environment, makePair, refusal, tempFolder } from './support.ts';

const credentials = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'a secret of no value',
  sessionToken: 'a token of no value',
};
const pcr0 = Buffer.alloc(48, 3);

/** The environment of somebody who may call that endpoint, and nothing of the machine's own. */
const callerOf = (endpoint: string, changes: Record<string, string | undefined> = {}): Disposable =>
  environment({
    AWS_ENDPOINT_URL_KMS: endpoint,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_SESSION_TOKEN: credentials.sessionToken,
    AWS_PROFILE: undefined,
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
    ...changes,
  });

describe('openSigner with a KMS key (emulated)', () => {
  for (const [spec, algorithm, region] of [
    ['ECC_NIST_P256', 'ES256', 'us-east-1'],
    ['ECC_NIST_P384', 'ES384', 'cn-north-1'],
    ['ECC_NIST_P521', 'ES512', 'us-gov-west-1'],
  ] as const) {
    it(`signs with ${spec} in ${region}; the section verifies`, async () => {
      await using folder = await tempFolder();
      await using emulator = await KmsEmulator.start({ credentials: [credentials] });
      using _environment = callerOf(emulator.endpoint);
      const { arn, publicKey } = emulator.keys.create({ spec, region });
      await certify(folder, publicKey);
      const signing = await openSigner({ certificate: folder.file('cert.pem'), key: arn });
      assert.equal(signing.signer.algorithm, algorithm);
      assert.deepEqual(emulator.asked, ['GetPublicKey']);
      // Often enough that r and s come short and with their top bit set
      for (let round = 0; round < 30; round += 1) assert.ok(await signatureSection(pcr0, signing));
      assert.deepEqual(new Set(emulator.asked.slice(1)), new Set(['Sign']));
    });
  }

  it('refuses a certificate for another key before anything is signed', async () => {
    await using folder = await tempFolder();
    await using emulator = await KmsEmulator.start({ credentials: [credentials] });
    using _environment = callerOf(emulator.endpoint);
    await makePair(folder, 'secp384r1');
    const { arn } = emulator.keys.create();
    await assert.rejects(openSigner({ certificate: folder.file('cert.pem'), key: arn }), { code: 'SIGN_KEY_MISMATCH' });
    assert.deepEqual(emulator.asked, ['GetPublicKey']);
  });

  it('takes only the ARN of a key', async () => {
    await using folder = await tempFolder();
    await makePair(folder, 'secp384r1');
    for (const key of [
      'arn:aws:kms:us-east-1:111122223333:alias/signing',
      'arn:aws:kms:us-east-1:111122223333:key/',
      'arn:aws:kms:us-east-1:111122223333:key/1/2',
      'arn:aws:kms:us-east-1:1111:key/1',
      'arn:aws:kms:useast1:111122223333:key/1',
      'arn:aws:kms::111122223333:key/1',
      'arn:aws-other:kms:us-east-1:111122223333:key/1',
      'arn:aws:s3:us-east-1:111122223333:key/1',
      'arn:aws:kms:us-east-1.evil.example/:111122223333:key/1',
      'arn:aws:kms:us-east-1:111122223333:key/1\n',
    ]) {
      await assert.rejects(openSigner({ certificate: folder.file('cert.pem'), key }), refusal('KMS_KEY_ARN'), key);
    }
  });

  it('says what is wrong with the key', async () => {
    await using folder = await tempFolder();
    await makePair(folder, 'secp384r1');
    await using emulator = await KmsEmulator.start({ credentials: [credentials] });
    using _environment = callerOf(emulator.endpoint);
    const opened = (key: string) => openSigner({ certificate: folder.file('cert.pem'), key });
    const key = (options: NewKey): string => emulator.keys.create(options).arn;
    const spec: KeySpec = 'ECC_SECG_P256K1';
    await assert.rejects(opened('arn:aws:kms:us-east-1:111122223333:key/1'), refusal('KMS_KEY_NOT_FOUND'));
    await assert.rejects(opened(key({ denied: ['GetPublicKey'] })), refusal('KMS_DENIED', /kms:GetPublicKey on/));
    await assert.rejects(opened(key({ spec })), refusal('KMS_KEY_UNUSABLE', /spec ECC_SECG_P256K1/));
    await assert.rejects(opened(key({ usage: 'KEY_AGREEMENT' })), refusal('KMS_KEY_UNUSABLE', /usage KEY_AGREEMENT/));
    await assert.rejects(opened(key({ state: 'Disabled' })), refusal('KMS_KEY_UNUSABLE', /is disabled/));
    await assert.rejects(opened(key({ state: 'PendingDeletion' })), refusal('KMS_KEY_UNUSABLE', /pending deletion/));
  });

  it('says that signing itself is not allowed', async () => {
    await using folder = await tempFolder();
    await using emulator = await KmsEmulator.start({ credentials: [credentials] });
    using _environment = callerOf(emulator.endpoint);
    const { arn, publicKey } = emulator.keys.create({ denied: ['Sign'] });
    await certify(folder, publicKey);
    const signing = await openSigner({ certificate: folder.file('cert.pem'), key: arn });
    await assert.rejects(signatureSection(pcr0, signing), refusal('KMS_DENIED', /kms:Sign/));
  });

  it('says that credentials are missing or not taken, and shows none', async () => {
    await using folder = await tempFolder();
    await makePair(folder, 'secp384r1');
    await using emulator = await KmsEmulator.start({ credentials: [credentials] });
    const { arn } = emulator.keys.create();
    for (const changes of [
      { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined, AWS_SESSION_TOKEN: undefined },
      { AWS_ACCESS_KEY_ID: 'AKIDOTHER' },
      { AWS_SECRET_ACCESS_KEY: 'another secret' },
      { AWS_SESSION_TOKEN: 'another token' },
    ]) {
      using _environment = callerOf(emulator.endpoint, changes);
      const error = await openSigner({ certificate: folder.file('cert.pem'), key: arn }).catch((error) => error);
      refusal('KMS_CREDENTIALS')(error);
      assert.doesNotMatch(
        inspect(error, { depth: 9, showHidden: true }),
        /secret of no|token of no|another (secret|token)/,
      );
    }
  });

  it('says that KMS is out of reach, and does not wait for ever', async () => {
    await using folder = await tempFolder();
    await makePair(folder, 'secp384r1');
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    using _environment = callerOf(`http://127.0.0.1:${port}`);
    await assert.rejects(
      openSigner({ certificate: folder.file('cert.pem'), key: 'arn:aws:kms:us-east-1:111122223333:key/1' }),
      refusal('KMS_UNREACHABLE', /ECONNREFUSED/),
    );
  });

  it('gives up on a server that takes the request and stays silent', async () => {
    await using folder = await tempFolder();
    await makePair(folder, 'secp384r1');
    const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    try {
      using _environment = callerOf(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
      await assert.rejects(
        openSigner({ certificate: folder.file('cert.pem'), key: 'arn:aws:kms:us-east-1:111122223333:key/1' }),
        refusal('KMS_UNREACHABLE'),
      );
    } finally {
      silent.close();
    }
  }).timeout(60_000);

  it('does not take an answer of somebody who is not KMS for one', async () => {
    await using folder = await tempFolder();
    await makePair(folder, 'secp384r1');
    const answers = [
      '{}',
      '<html>',
      '{"KeyUsage":"SIGN_VERIFY","KeySpec":"ECC_NIST_P384"}',
      '{"KeyUsage":"SIGN_VERIFY","KeySpec":"ECC_NIST_P384","PublicKey":"AAAA"}',
    ];
    for (const body of answers) {
      const server = createServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`));
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      using _environment = callerOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      await assert.rejects(
        openSigner({ certificate: folder.file('cert.pem'), key: 'arn:aws:kms:us-east-1:111122223333:key/1' }),
        { code: /^KMS_(KEY_UNUSABLE|FAILED)$/ },
      );
      server.close();
    }
  }).timeout(60_000);
});
