import assert from 'node:assert/strict';
import { GenerateRandomCommand } from '@aws-sdk/client-kms';
import type { Credentials } from '../src/kms/credentials/credentials.ts';
import { INSTANCE, KmsWorld } from './kms-harness.ts';
import { localOf, rejects, sdk } from './kms-sdk.ts';

describe('KMS proxy: whose requests are taken (D10)', () => {
  const call = (world: KmsWorld, credentials: Credentials, systemClockOffset = 0) =>
    sdk(world, credentials, { systemClockOffset }).send(new GenerateRandomCommand({ NumberOfBytes: 1 }));

  const MAY_ASK = 'egress: { allow: ["169.254.169.254"] }\n';

  it('those of the local pair, of the image and, where the app may ask for these, of the instance', async () => {
    await using world = await KmsWorld.start();
    const image = { accessKeyId: 'placeholder', secretAccessKey: 'x' };
    const kms = await world.openKms({
      env: { AWS_ACCESS_KEY_ID: 'placeholder', AWS_SECRET_ACCESS_KEY: 'x' },
      manifest: world.manifest(world.manifestText + MAY_ASK),
    });
    // Before odyn has asked for them itself
    await call(world, INSTANCE);
    await call(world, image);
    await call(world, localOf(kms));
    assert.deepEqual(world.emulator.asked, Array(3).fill('GenerateRandom'));
  });

  it('not those of the instance where egress keeps the app from it: the parent, which has them, could sign for a fetcher of URLs', async () => {
    await using world = await KmsWorld.start();
    for (const egress of ['', 'egress: { allow: ["**"] }\n']) {
      const kms = await world.openKms({ manifest: world.manifest(world.manifestText + egress) });
      await call(world, localOf(kms));
      await rejects(call(world, INSTANCE), 'UnrecognizedClientException');
    }
  });

  it('no others', async () => {
    await using world = await KmsWorld.start();
    const local = localOf(await world.openKms({ manifest: world.manifest(world.manifestText + MAY_ASK) }));
    await rejects(call(world, { ...local, secretAccessKey: 'wrong' }), 'InvalidSignatureException', /does not fit/);
    await rejects(call(world, { ...local, sessionToken: 'one too many' }), 'UnrecognizedClientException');
    await rejects(call(world, { ...INSTANCE, sessionToken: 'another' }), 'UnrecognizedClientException');
    const stranger = { accessKeyId: 'AKIASTRANGER00000000', secretAccessKey: 'x' };
    await rejects(call(world, stranger), 'UnrecognizedClientException', /ENCLAVER_KMS_ACCESS_KEY_ID/);
    assert.deepEqual(world.emulator.asked, []);
    // Once for the instance's, not again for each stranger
    assert.equal(world.metadata.asked.filter((line) => line.startsWith('PUT')).length, 1);
  });

  it('not when they were signed long ago, or are yet to be, and says by how much clocks differ', async () => {
    await using world = await KmsWorld.start();
    const local = localOf(await world.openKms());
    await rejects(
      call(world, local, -600_000),
      'InvalidSignatureException',
      /expired: \d{8}T\d{6}Z is (599|600|601) s ago/,
    );
    await rejects(
      call(world, local, 600_000),
      'InvalidSignatureException',
      /not yet current: .* is (599|600|601) s ahead/,
    );
    await call(world, local, 240_000);
  });

  it('logs nothing that was signed, and no secret', async () => {
    await using world = await KmsWorld.start();
    const local = localOf(await world.openKms());
    await call(world, local);
    await rejects(call(world, { ...local, secretAccessKey: 'wrong' }), 'InvalidSignatureException');
    world.metadata.answer = () => ({ status: 500 });
    assert.match(world.log, /kms call refused/);
    assert.doesNotMatch(world.log, /Signature=|Credential=|AWS4|x-amz-security/i);
    for (const secret of [local.secretAccessKey, INSTANCE.secretAccessKey, INSTANCE.sessionToken]) {
      assert.ok(!world.log.includes(secret));
    }
  });
});
