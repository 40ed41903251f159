import assert from 'node:assert/strict';
import { mock } from 'node:test';
import type { OwnHttp } from '../src/egress/own-http.ts';
import type { CredentialCache } from '../src/kms/credentials/credential-cache.ts';
import { KmsError, type KmsErrorCode } from '../src/kms/kms-error.ts';
import { KmsSender } from '../src/kms/kms-sender.ts';
import { attestedPolicy, INSTANCE, KmsWorld, REGION } from './kms-harness.ts';

const fails = (call: Promise<unknown>, code: KmsErrorCode, message = /./): Promise<void> =>
  assert.rejects(call, (error) => {
    assert.ok(error instanceof KmsError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });

describe("KMS for odyn's own use", () => {
  it('encrypts, and decrypts what the policy gives this image alone, with the context it was bound to', async () => {
    await using world = await KmsWorld.start();
    const { client } = await world.openKms();
    const { arn: keyId } = world.emulator.keys.createSymmetric({ policy: attestedPolicy() });
    const key = { keyId, context: { of: 'the store' } };
    const secret = Buffer.from('for this image alone');
    const ciphertext = await client.encrypt(key, secret);
    assert.deepEqual(await client.decrypt(key, ciphertext), secret);
    await fails(client.decrypt({ keyId }, ciphertext), 'KMS_REFUSED', /InvalidCiphertextException/);

    const dataKey = await client.generateDataKey(key);
    assert.equal(dataKey.plaintext.length, 32);
    assert.deepEqual(await client.decrypt(key, dataKey.ciphertext), dataKey.plaintext);
    // One set of credentials for all calls
    assert.equal(world.metadata.asked.length, 3);
  });

  it('is refused where the policy names another image', async () => {
    await using world = await KmsWorld.start();
    const { client } = await world.openKms();
    const { arn: keyId } = world.emulator.keys.createSymmetric({ policy: attestedPolicy('d'.repeat(96)) });
    const ciphertext = await client.encrypt({ keyId }, Buffer.from('for another image'));
    await assert.rejects(client.decrypt({ keyId }, ciphertext), { refusal: 'AccessDeniedException' });
  });

  it('takes the region of the key, of the image, or of the instance', async () => {
    await using world = await KmsWorld.start();
    const { id } = world.emulator.keys.createSymmetric({ alias: 'alias/k' });
    const { client } = await world.openKms();
    await client.generateDataKey({ keyId: 'alias/k' });
    assert.ok(world.metadata.asked.includes('GET /latest/meta-data/placement/region'));
    await client.generateDataKey({ keyId: id, region: REGION });
    const other = await world.openKms({ env: { AWS_REGION: 'eu-west-1' } });
    await fails(other.client.generateDataKey({ keyId: id }), 'KMS_UNREACHABLE', /kms\.eu-west-1\.amazonaws\.com/);
    assert.deepEqual(world.parent.requests.at(-1), { host: 'kms.eu-west-1.amazonaws.com', port: 443, report: true });
  });

  it('gives up a call without an answer after its time', async () => {
    const http = {
      send: (_request: unknown, signal: AbortSignal) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    } as unknown as OwnHttp;
    const credentials = { get: async () => INSTANCE } as unknown as CredentialCache;
    const sender = new KmsSender({ http, credentials, endpoints: { overrides: {}, fips: false, dualStack: false } });
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      const call = sender.send({
        region: REGION,
        method: 'GET',
        path: '/',
        query: '',
        headers: {},
        body: Buffer.alloc(0),
      });
      const failed = fails(call, 'KMS_TIMEOUT', /kms\.us-east-1\.amazonaws\.com gave no answer within 30 s/);
      // The timer is set once the call is signed
      for (let round = 0; round < 20; round++) await new Promise(setImmediate);
      mock.timers.tick(30_000);
      await failed;
    } finally {
      mock.timers.reset();
    }
  });

  it('trusts the authorities of ca_file alone, or the public ones', async () => {
    await using world = await KmsWorld.start();
    const { port } = new URL(world.emulator.endpoint);
    const manifest = world.manifest(
      `kms_proxy: { listen_port: ${world.port}, endpoints: { ${REGION}: "host:${port}" } }\n`,
    );
    const { client } = await world.openKms({ manifest });
    await fails(client.generateDataKey({ keyId: 'alias/k', region: REGION }), 'KMS_UNREACHABLE', /self-signed/);
  });
});
