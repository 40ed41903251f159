import assert from 'node:assert/strict';
import { KmsError, type KmsErrorCode } from '../src/kms/kms-error.ts';
import { attestedPolicy, KmsWorld, REGION } from './kms-harness.ts';

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
