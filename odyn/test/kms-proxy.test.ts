import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import {
  DecryptCommand,
  DeriveSharedSecretCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyPairCommand,
  GenerateRandomCommand,
  ListKeysCommand,
  SignCommand,
} from '@aws-sdk/client-kms';
import { Nsm } from '@enclaver/attestation/nsm';
import { openEnvelope } from '@enclaver/cms';
import { linesOf, readLog, StatusReader, startOdyn } from './harness.ts';
import { attestedPolicy, INSTANCE, KmsWorld } from './kms-harness.ts';
import { localOf, rejects, sdk, withFakeKms } from './kms-sdk.ts';

const SECRET = new TextEncoder().encode('for this image alone');

describe('KMS proxy: the five attested actions, with the unmodified SDK', () => {
  it('opens each answer into the field that the SDK reads', async () => {
    await using world = await KmsWorld.start();
    const client = sdk(world, localOf(await world.openKms()));
    const KeyId = world.emulator.keys.createSymmetric({ policy: attestedPolicy() }).arn;
    const agreement = world.emulator.keys.create({ usage: 'KEY_AGREEMENT', policy: attestedPolicy() }).arn;

    const { CiphertextBlob } = await client.send(new EncryptCommand({ KeyId, Plaintext: SECRET }));
    const decrypted = await client.send(new DecryptCommand({ CiphertextBlob }));
    assert.deepEqual(Buffer.from(decrypted.Plaintext ?? []), Buffer.from(SECRET));
    assert.deepEqual([decrypted.KeyId, decrypted.CiphertextForRecipient], [KeyId, undefined]);

    const dataKey = await client.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }));
    const again = await client.send(new DecryptCommand({ CiphertextBlob: dataKey.CiphertextBlob }));
    assert.equal(dataKey.Plaintext?.length, 32);
    assert.deepEqual(again.Plaintext, dataKey.Plaintext);

    const keyPair = await client.send(new GenerateDataKeyPairCommand({ KeyId, KeyPairSpec: 'RSA_4096' }));
    assert.ok((keyPair.PrivateKeyPlaintext?.length ?? 0) > 2000);

    const random = await client.send(new GenerateRandomCommand({ NumberOfBytes: 1024 }));
    assert.equal(random.Plaintext?.length, 1024);

    const PublicKey = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({
      type: 'spki',
      format: 'der',
    });
    const shared = await client.send(
      new DeriveSharedSecretCommand({ KeyId: agreement, KeyAgreementAlgorithm: 'ECDH', PublicKey }),
    );
    assert.equal(shared.SharedSecret?.length, 48);
  });

  it('gives one document to many calls, and asks for one at a time', async () => {
    await using world = await KmsWorld.start();
    let documents = 0;
    const nsm = new Nsm(async (request) => {
      documents++;
      return world.simulator.request(request);
    });
    const client = sdk(world, localOf(await world.openKms({ nsm })));
    await Promise.all(Array.from({ length: 8 }, () => client.send(new GenerateRandomCommand({ NumberOfBytes: 8 }))));
    assert.equal(documents, 1);
  });

  it('gives no document from before a register was changed', async () => {
    await using world = await KmsWorld.start();
    let documents = 0;
    const nsm = new Nsm(async (request) => {
      const answer = await world.simulator.request(request);
      if (answer.length > 1000) documents++;
      return answer;
    });
    const client = sdk(world, localOf(await world.openKms({ nsm })));
    const ask = () => client.send(new GenerateRandomCommand({ NumberOfBytes: 8 }));
    await ask();
    for (const change of [() => nsm.extendPcr(16, Buffer.from('x')), () => nsm.lockPcr(16), () => nsm.lockPcrs(20)]) {
      await change();
      await ask();
      await ask();
    }
    assert.equal(documents, 4);
  });

  it('leaves the Recipient of a caller that opens the answer itself', async () => {
    await using world = await KmsWorld.start();
    const client = sdk(world, localOf(await world.openKms()));
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const AttestationDocument = await world.nsm.attest({
      publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    });
    const Recipient = { AttestationDocument, KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256' } as const;
    const random = await client.send(new GenerateRandomCommand({ NumberOfBytes: 16, Recipient }));
    assert.equal(random.Plaintext, undefined);
    assert.equal((await openEnvelope(random.CiphertextForRecipient ?? new Uint8Array(), privateKey)).length, 16);
  });

  it('is refused by the key policy of another image, in the words of KMS', async () => {
    await using world = await KmsWorld.start();
    const client = sdk(world, localOf(await world.openKms()));
    const KeyId = world.emulator.keys.createSymmetric({ policy: attestedPolicy('d'.repeat(96)) }).arn;
    const { CiphertextBlob } = await client.send(new EncryptCommand({ KeyId, Plaintext: SECRET }));
    await rejects(client.send(new DecryptCommand({ CiphertextBlob })), 'AccessDeniedException', /kms:Decrypt/);
    await rejects(
      client.send(new DecryptCommand({ CiphertextBlob: Buffer.from('no ciphertext') })),
      'InvalidCiphertextException',
    );
  });
});

describe('KMS proxy: everything else', () => {
  it('is passed on, signed anew', async () => {
    await using world = await KmsWorld.start();
    const client = sdk(world, localOf(await world.openKms()));
    const { arn, id } = world.emulator.keys.createSymmetric();
    const signing = world.emulator.keys.create().arn;
    assert.deepEqual((await client.send(new ListKeysCommand())).Keys?.length, 2);
    assert.equal((await client.send(new DescribeKeyCommand({ KeyId: id }))).KeyMetadata?.Arn, arn);
    const Message = Buffer.from('m');
    const signed = await client.send(new SignCommand({ KeyId: signing, Message, SigningAlgorithm: 'ECDSA_SHA_384' }));
    assert.ok(signed.Signature);
    await rejects(client.send(new DescribeKeyCommand({ KeyId: 'alias/none' })), 'NotFoundException');
  });

  it('keeps headers, query, status and body, and none of the caller’s signature', async () => {
    await using world = await KmsWorld.start();
    let seen: Record<string, unknown> = {};
    const { server, client } = await withFakeKms(world, ({ method, url, headers }, body) => {
      seen = { method, url, body, ...headers };
      return { status: 200, headers: { 'x-amzn-requestid': 'r-1', 'x-other': 'kept' }, body: '{"Keys":[]}' };
    });
    const answer = await client.send(new ListKeysCommand({ Limit: 3 }));
    assert.equal(answer.$metadata.requestId, 'r-1');
    assert.equal(seen.body, '{"Limit":3}');
    assert.equal(seen['x-amz-target'], 'TrentService.ListKeys');
    assert.match(String(seen['user-agent']), /aws-sdk-js/);
    assert.equal(seen['x-amz-security-token'], INSTANCE.sessionToken);
    assert.match(String(seen.authorization), /Credential=ASIAINSTANCE00000001\/\d{8}\/us-east-1\/kms\/aws4_request/);
    assert.equal(seen.host, `host:${server.port}`);
    await server.close();
  });

  it('asks again when KMS has closed a kept connection meanwhile', async () => {
    await using world = await KmsWorld.start();
    const { server, client } = await withFakeKms(world, () => ({ status: 200, body: '{"Keys":[]}' }));
    for (let round = 0; round < 3; round++) {
      await client.send(new ListKeysCommand());
      assert.equal(world.parent.requests.filter(({ host }) => host === 'host').length, round + 1);
      server.closeConnections();
    }
    await server.close();
  });

  it('uses one connection for one call after the other', async () => {
    await using world = await KmsWorld.start();
    const { server, client } = await withFakeKms(world, () => ({ status: 200, body: '{"Keys":[]}' }));
    for (let round = 0; round < 3; round++) await client.send(new ListKeysCommand());
    assert.equal(world.parent.requests.filter(({ host }) => host === 'host').length, 1);
    await server.close();
  });

  it('streams an answer that is large', async () => {
    await using world = await KmsWorld.start();
    const Keys = Array.from({ length: 20_000 }, (_, number) => ({ KeyId: `key-${number}`, KeyArn: 'arn'.repeat(20) }));
    const { server, client } = await withFakeKms(world, () => ({ status: 200, body: JSON.stringify({ Keys }) }));
    assert.equal((await client.send(new ListKeysCommand())).Keys?.length, Keys.length);
    await server.close();
  });
});

describe('KMS proxy: in an enclave', () => {
  it('is there for an app whose manifest opens nothing, and the app is told where (D9)', async () => {
    await using world = await KmsWorld.start();
    const spec = { argv: ['/bin/env'], manifest: world.manifestText };
    const { finished } = await startOdyn(world.parent, spec, { nsm: world.nsm });
    const status = await StatusReader.open(world.parent);
    const [log] = await Promise.all([readLog(world.parent), status.final(), finished]);
    const lines = linesOf(log, 'stdout');
    const value = (name: string): string =>
      lines.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';
    assert.equal(value('AWS_ENDPOINT_URL_KMS'), world.endpoint);
    assert.equal(value('AWS_KMS_ENDPOINT'), world.endpoint);
    assert.match(value('AWS_ACCESS_KEY_ID'), /^ENCLAVER[0-9A-F]{12}$/);
    assert.equal(value('AWS_SECRET_ACCESS_KEY'), value('ENCLAVER_KMS_SECRET_ACCESS_KEY'));
    assert.equal(value('http_proxy'), '');
  });
});
