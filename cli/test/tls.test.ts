import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { DecryptCommand, KMSClient } from '@aws-sdk/client-kms';
import { KmsEmulator } from '@enclaver/kms-emulator';
import { readSealedKey } from '@enclaver/wire/sealed-key';
import { type Workplace, workplace } from './trust-support.ts';

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'a secret of no value' };
const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
  type: 'pkcs8',
  format: 'pem',
}) as string;

describe('enclaver tls seal-key', function () {
  this.timeout(60_000);

  let place: Workplace;
  let emulator: KmsEmulator;
  let arn: string;
  let env: string;

  beforeEach(async () => {
    place = await workplace();
    emulator = await KmsEmulator.start({ credentials: [credentials] });
    arn = emulator.keys.createSymmetric({ alias: 'alias/tls' }).arn;
    env = `AWS_ENDPOINT_URL_KMS=${emulator.endpoint} AWS_ACCESS_KEY_ID=${credentials.accessKeyId} AWS_SECRET_ACCESS_KEY='${credentials.secretAccessKey}' AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null`;
  });

  afterEach(async () => {
    await emulator[Symbol.asyncDispose]();
    await place[Symbol.asyncDispose]();
  });

  const seal = (...args: string[]) => place.sh(`${env} enclaver tls seal-key ${args.join(' ')}`);

  /** The key in a file, opened as odyn does it. */
  async function open(file: string, context: Record<string, string>): Promise<string> {
    const client = new KMSClient({ endpoint: emulator.endpoint, region: 'us-east-1', credentials });
    const sealed = readSealedKey(Buffer.from(file));
    const command = new DecryptCommand({ KeyId: arn, CiphertextBlob: sealed.ciphertext, EncryptionContext: context });
    const { Plaintext = new Uint8Array() } = await client.send(command);
    return sealed.open(Buffer.from(Plaintext)).toString();
  }

  it('writes a key that KMS opens with the context it was given', async () => {
    await place.write('key.pem', pem);
    const { code, stdout, stderr } = await seal('key.pem', '--kms-key', arn, '--context app=a=b', '--context env=prod');
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^(?:[A-Za-z0-9+/]{76}\n)+[A-Za-z0-9+/=]{1,76}\n$/);
    assert.equal(await open(stdout, { app: 'a=b', env: 'prod' }), pem);
    await assert.rejects(open(stdout, {}), { name: 'InvalidCiphertextException' });
  });

  it('takes an alias, and writes an envelope for what is too long for Encrypt', async () => {
    const long = `${'# a comment\n'.repeat(400)}${pem}`;
    await place.write('key.pem', long);
    const alias = arn.replace(/key\/.*/, 'alias/tls');
    const { code, stderr } = await seal('key.pem', '--kms-key', alias, '--to', 'key.sealed');
    assert.deepEqual([code, stderr], [0, '']);
    const sealed = await readFile(place.file('key.sealed'), 'utf8');
    assert.equal(JSON.parse(sealed).format, 'enclaver-sealed-key/1');
    assert.equal(await open(sealed, {}), long);
    assert.deepEqual(emulator.asked, ['GenerateDataKey', 'Decrypt']);
  });

  it('says what is wrong with the call, the file, or the key in KMS', async () => {
    await place.write('no.pem', 'SECRET');
    await place.write('key.pem', pem);
    for (const [args, code] of [
      [['no.pem', '--kms-key', arn], 'SEAL_KEY_INVALID'],
      [['none.pem', '--kms-key', arn], 'SEAL_KEY_INVALID'],
      [['key.pem', '--kms-key', 'alias/tls'], 'KMS_KEY_ARN'],
      [['key.pem', '--kms-key', emulator.keys.create().arn], 'KMS_KEY_UNUSABLE'],
    ] as const) {
      const { stdout, stderr } = await seal(...args);
      assert.match(stderr, new RegExp(`^error\\[${code}\\]`), stderr);
      assert.ok(!stderr.includes('SECRET') && stdout === '');
    }
    assert.equal((await seal('key.pem', '--kms-key', arn, '--context', 'app')).code, 2);
  });
});
