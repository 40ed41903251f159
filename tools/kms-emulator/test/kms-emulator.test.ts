import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { DescribeKeyCommand, GetPublicKeyCommand, KMSClient, SignCommand } from '@aws-sdk/client-kms';
import { KmsEmulator, type NewKey } from '../src/index.ts';

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'an example of no value' };
const clientOf = (emulator: KmsEmulator, options: { region?: string; secretAccessKey?: string } = {}): KMSClient =>
  new KMSClient({
    endpoint: emulator.endpoint,
    region: options.region ?? 'us-east-1',
    credentials: { ...credentials, secretAccessKey: options.secretAccessKey ?? credentials.secretAccessKey },
    maxAttempts: 1,
  });

describe('KMS emulator, as the client of AWS sees it', () => {
  for (const [spec, algorithm, hash] of [
    ['ECC_NIST_P256', 'ECDSA_SHA_256', 'sha256'],
    ['ECC_NIST_P384', 'ECDSA_SHA_384', 'sha384'],
    ['ECC_NIST_P521', 'ECDSA_SHA_512', 'sha512'],
    ['ECC_SECG_P256K1', 'ECDSA_SHA_256', 'sha256'],
  ] as const) {
    it(`signs with ${spec}; the signature verifies with the public key it gives`, async () => {
      await using emulator = await KmsEmulator.start({ credentials: [credentials] });
      const client = clientOf(emulator);
      const { arn } = emulator.keys.create({ spec });
      const answer = await client.send(new GetPublicKeyCommand({ KeyId: arn }));
      assert.equal(answer.KeySpec, spec);
      assert.deepEqual(answer.SigningAlgorithms, [algorithm]);
      const publicKey = createPublicKey({ key: Buffer.from(answer.PublicKey ?? []), format: 'der', type: 'spki' });
      // Often enough that r and s come short and with their top bit set
      for (let round = 0; round < 40; round += 1) {
        const message = Buffer.from(`message ${round}`);
        const [type, bytes] =
          round % 2 === 0
            ? (['RAW', message] as const)
            : (['DIGEST', createHash(hash).update(message).digest()] as const);
        const request = { KeyId: arn, MessageType: type, Message: bytes, SigningAlgorithm: algorithm };
        const { Signature = new Uint8Array() } = await client.send(new SignCommand(request));
        assert.ok(verify(hash, message, publicKey, Signature));
        assert.ok(!verify(hash, Buffer.from('other'), publicKey, Signature));
      }
      assert.equal(emulator.asked[0], 'GetPublicKey');
    });
  }

  it('describes a key by id and by ARN, in its region and partition', async () => {
    await using emulator = await KmsEmulator.start({ credentials: [credentials] });
    const key = emulator.keys.create({ region: 'cn-north-1' });
    assert.match(key.arn, /^arn:aws-cn:kms:cn-north-1:\d{12}:key\/[0-9a-f-]{36}$/);
    for (const KeyId of [key.id, key.arn]) {
      const { KeyMetadata } = await clientOf(emulator, { region: 'cn-north-1' }).send(
        new DescribeKeyCommand({ KeyId }),
      );
      assert.equal(KeyMetadata?.Arn, key.arn);
      assert.equal(KeyMetadata.KeyUsage, 'SIGN_VERIFY');
      assert.equal(KeyMetadata.KeyState, 'Enabled');
    }
    const elsewhere = clientOf(emulator).send(new DescribeKeyCommand({ KeyId: key.arn }));
    await assert.rejects(elsewhere, { name: 'NotFoundException' });
  });

  it('refuses as KMS does', async () => {
    await using emulator = await KmsEmulator.start({ credentials: [credentials] });
    const client = clientOf(emulator);
    const digest = Buffer.alloc(48);
    const sign = (KeyId: string, changes = {}): Promise<unknown> =>
      client.send(
        new SignCommand({
          KeyId,
          Message: digest,
          MessageType: 'DIGEST',
          SigningAlgorithm: 'ECDSA_SHA_384',
          ...changes,
        }),
      );
    const keyWith = (options: NewKey): string => emulator.keys.create(options).arn;
    const key = keyWith({});
    await assert.rejects(sign('arn:aws:kms:us-east-1:111122223333:key/none'), { name: 'NotFoundException' });
    await assert.rejects(sign(keyWith({ denied: ['Sign'] })), {
      name: 'AccessDeniedException',
      message: /is not authorized to perform: kms:Sign on resource: arn:aws:kms:/,
    });
    await assert.rejects(sign(keyWith({ state: 'Disabled' })), { name: 'DisabledException' });
    await assert.rejects(sign(keyWith({ state: 'PendingDeletion' })), { name: 'KMSInvalidStateException' });
    await assert.rejects(sign(keyWith({ usage: 'KEY_AGREEMENT' })), { name: 'InvalidKeyUsageException' });
    await assert.rejects(sign(key, { SigningAlgorithm: 'ECDSA_SHA_256' }), { name: 'InvalidKeyUsageException' });
    await assert.rejects(sign(key, { Message: Buffer.alloc(32) }), { name: 'ValidationException' });
    await assert.rejects(sign(key, { Message: Buffer.alloc(4097), MessageType: 'RAW' }), {
      name: 'ValidationException',
    });
  });

  it('takes nobody but those it was given, and a session only with its token', async () => {
    await using emulator = await KmsEmulator.start({ credentials: [{ ...credentials, sessionToken: 'token' }] });
    const { arn } = emulator.keys.create();
    const command = new GetPublicKeyCommand({ KeyId: arn });
    await assert.rejects(clientOf(emulator).send(command), { name: 'UnrecognizedClientException' });
    const withToken = (secretAccessKey: string): KMSClient =>
      new KMSClient({
        endpoint: emulator.endpoint,
        region: 'us-east-1',
        credentials: { ...credentials, secretAccessKey, sessionToken: 'token' },
        maxAttempts: 1,
      });
    await assert.rejects(withToken('other').send(command), { name: 'InvalidSignatureException' });
    assert.deepEqual(emulator.asked, []);
    assert.ok(await withToken(credentials.secretAccessKey).send(command));
    assert.deepEqual(emulator.asked, ['GetPublicKey']);
  });

  it('holds signatures against its clock', async () => {
    const now = (): Date => new Date(Date.now() + 3_600_000);
    await using emulator = await KmsEmulator.start({ credentials: [credentials], now });
    const { arn } = emulator.keys.create();
    await assert.rejects(clientOf(emulator).send(new GetPublicKeyCommand({ KeyId: arn })), {
      name: 'InvalidSignatureException',
    });
  });

  it('answers what is no request of KMS, and what is too large', async () => {
    await using emulator = await KmsEmulator.start({ credentials: [credentials] });
    const plain = await fetch(emulator.endpoint, { method: 'POST', body: '{}' });
    assert.equal(plain.status, 400);
    assert.equal(plain.headers.get('content-type'), 'application/x-amz-json-1.1');
    assert.deepEqual(await plain.json(), {
      __type: 'MissingAuthenticationTokenException',
      message: 'Request is missing Authentication Token',
    });
    const large = await fetch(emulator.endpoint, { method: 'POST', body: 'x'.repeat(600_000) });
    assert.equal(large.status, 413);
  });
});
