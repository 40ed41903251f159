import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto';
import {
  DecryptCommand,
  DeriveSharedSecretCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyPairCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  GenerateRandomCommand,
  GetPublicKeyCommand,
  ListKeysCommand,
} from '@aws-sdk/client-kms';
import { clientOf, startEmulator } from './support.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const rejects = (request: Promise<unknown>, name: string, message = /./): Promise<void> =>
  assert.rejects(request, (error: Error) => error.name === name && message.test(error.message));

describe('KMS emulator: symmetric keys, as the client of AWS sees them', () => {
  it('decrypts what it encrypted, without being told the key', async () => {
    await using emulator = await startEmulator();
    const client = clientOf(emulator);
    const key = emulator.keys.createSymmetric({ alias: 'alias/app' });
    for (const size of [1, 4096]) {
      const Plaintext = new Uint8Array(size).fill(7);
      const sealed = await client.send(new EncryptCommand({ KeyId: 'alias/app', Plaintext }));
      assert.equal(sealed.KeyId, key.arn);
      assert.equal(sealed.EncryptionAlgorithm, 'SYMMETRIC_DEFAULT');
      for (const KeyId of [undefined, key.id, key.arn, 'alias/app', key.arn.replace(/key\/.*/, 'alias/app')]) {
        const opened = await client.send(new DecryptCommand({ CiphertextBlob: sealed.CiphertextBlob, KeyId }));
        assert.deepEqual(Buffer.from(opened.Plaintext ?? []), Buffer.from(Plaintext));
        assert.equal(opened.KeyId, key.arn);
        assert.equal(opened.EncryptionAlgorithm, 'SYMMETRIC_DEFAULT');
        assert.equal(opened.CiphertextForRecipient, undefined);
      }
    }
  });

  it('binds a ciphertext to its encryption context, in whatever order', async () => {
    await using emulator = await startEmulator();
    const client = clientOf(emulator);
    const KeyId = emulator.keys.createSymmetric().arn;
    const { CiphertextBlob } = await client.send(
      new EncryptCommand({ KeyId, Plaintext: bytes('secret'), EncryptionContext: { app: 'a', stage: 'b' } }),
    );
    const decrypt = (EncryptionContext?: Record<string, string>) =>
      client.send(new DecryptCommand({ CiphertextBlob, ...(EncryptionContext && { EncryptionContext }) }));
    const { Plaintext } = await decrypt({ stage: 'b', app: 'a' });
    assert.equal(Buffer.from(Plaintext ?? []).toString(), 'secret');
    await rejects(decrypt(), 'InvalidCiphertextException');
    await rejects(decrypt({}), 'InvalidCiphertextException');
    await rejects(decrypt({ app: 'a' }), 'InvalidCiphertextException');
    await rejects(decrypt({ app: 'b', stage: 'a' }), 'InvalidCiphertextException');
    await rejects(decrypt({ app: 'a', Stage: 'b' }), 'InvalidCiphertextException');
  });

  it('makes data keys of every size, which Decrypt gives again', async () => {
    await using emulator = await startEmulator();
    const client = clientOf(emulator);
    const KeyId = emulator.keys.createSymmetric().arn;
    const EncryptionContext = { app: 'a' };
    const sizes = [
      { KeySpec: 'AES_128' },
      { KeySpec: 'AES_256' },
      { NumberOfBytes: 64 },
      { NumberOfBytes: 1024 },
    ] as const;
    for (const [index, size] of sizes.entries()) {
      const made = await client.send(new GenerateDataKeyCommand({ KeyId, EncryptionContext, ...size }));
      assert.equal(made.Plaintext?.length, [16, 32, 64, 1024][index]);
      const { Plaintext } = await client.send(
        new DecryptCommand({ CiphertextBlob: made.CiphertextBlob, EncryptionContext }),
      );
      assert.deepEqual(Plaintext, made.Plaintext);
      const without = await client.send(new GenerateDataKeyWithoutPlaintextCommand({ KeyId, ...size }));
      assert.equal('Plaintext' in without, false);
      const again = await client.send(new DecryptCommand({ CiphertextBlob: without.CiphertextBlob }));
      assert.equal(again.Plaintext?.length, made.Plaintext?.length);
    }
    for (const size of [
      {},
      { KeySpec: 'AES_256', NumberOfBytes: 32 },
      { NumberOfBytes: 1025 },
      { NumberOfBytes: 0 },
    ] as const) {
      await rejects(client.send(new GenerateDataKeyCommand({ KeyId, ...size })), 'ValidationException');
    }
  });

  it('makes pairs of data keys', async () => {
    await using emulator = await startEmulator();
    const client = clientOf(emulator);
    const KeyId = emulator.keys.createSymmetric().arn;
    for (const KeyPairSpec of [
      'RSA_2048',
      'ECC_NIST_P256',
      'ECC_NIST_P384',
      'ECC_NIST_P521',
      'ECC_SECG_P256K1',
    ] as const) {
      const made = await client.send(new GenerateDataKeyPairCommand({ KeyId, KeyPairSpec }));
      assert.equal(made.KeyPairSpec, KeyPairSpec);
      const secret = Buffer.from(made.PrivateKeyPlaintext ?? []);
      const publicKey = createPublicKey(createPrivateKey({ key: secret, format: 'der', type: 'pkcs8' }));
      assert.deepEqual(publicKey.export({ format: 'der', type: 'spki' }), Buffer.from(made.PublicKey ?? []));
      const { Plaintext } = await client.send(new DecryptCommand({ CiphertextBlob: made.PrivateKeyCiphertextBlob }));
      assert.deepEqual(Buffer.from(Plaintext ?? []), secret);
    }
  });

  it('gives random bytes', async () => {
    await using emulator = await startEmulator();
    const client = clientOf(emulator);
    for (const NumberOfBytes of [1, 1024]) {
      const { Plaintext } = await client.send(new GenerateRandomCommand({ NumberOfBytes }));
      assert.equal(Plaintext?.length, NumberOfBytes);
    }
    await rejects(client.send(new GenerateRandomCommand({ NumberOfBytes: 1025 })), 'ValidationException');
    await rejects(client.send(new GenerateRandomCommand({})), 'ValidationException');
  });

  it('agrees on a secret with the holder of another key on the curve', async () => {
    await using emulator = await startEmulator();
    const client = clientOf(emulator);
    for (const [spec, namedCurve] of [
      ['ECC_NIST_P256', 'P-256'],
      ['ECC_NIST_P384', 'P-384'],
      ['ECC_NIST_P521', 'P-521'],
    ] as const) {
      const KeyId = emulator.keys.create({ spec, usage: 'KEY_AGREEMENT' }).arn;
      const peer = generateKeyPairSync('ec', { namedCurve });
      const derive = (PublicKey: Uint8Array) =>
        client.send(new DeriveSharedSecretCommand({ KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey }));
      const answer = await derive(peer.publicKey.export({ type: 'spki', format: 'der' }));
      const { PublicKey } = await client.send(new GetPublicKeyCommand({ KeyId }));
      const ours = createPublicKey({ key: Buffer.from(PublicKey ?? []), format: 'der', type: 'spki' });
      const secret = diffieHellman({ privateKey: peer.privateKey, publicKey: ours });
      assert.deepEqual(Buffer.from(answer.SharedSecret ?? []), secret);
      assert.equal(answer.KeyAgreementAlgorithm, 'ECDH');
      assert.equal(answer.KeyOrigin, 'AWS_KMS');
      const other = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey;
      await rejects(derive(other.export({ type: 'spki', format: 'der' })), 'ValidationException');
      await rejects(derive(bytes('no key')), 'ValidationException');
    }
  });

  it('describes and lists keys', async () => {
    await using emulator = await startEmulator();
    const client = clientOf(emulator);
    const key = emulator.keys.createSymmetric();
    emulator.keys.createSymmetric({ region: 'eu-west-1' });
    const { KeyMetadata } = await client.send(new DescribeKeyCommand({ KeyId: key.id }));
    assert.equal(KeyMetadata?.KeySpec, 'SYMMETRIC_DEFAULT');
    assert.equal(KeyMetadata.KeyUsage, 'ENCRYPT_DECRYPT');
    assert.deepEqual(KeyMetadata.EncryptionAlgorithms, ['SYMMETRIC_DEFAULT']);
    const { Keys, Truncated } = await client.send(new ListKeysCommand({}));
    assert.deepEqual(Keys, [{ KeyId: key.id, KeyArn: key.arn }]);
    assert.equal(Truncated, false);
    await rejects(client.send(new GetPublicKeyCommand({ KeyId: key.id })), 'UnsupportedOperationException');
  });

  it('opens ciphertexts of an earlier run with the same id and material', async () => {
    const options = { id: '0f6d7a52-9f2f-4a0e-8a55-0f3a3c5f1c9e', material: Buffer.alloc(32, 5) };
    const sealed = await (async () => {
      await using emulator = await startEmulator();
      emulator.keys.createSymmetric(options);
      return await clientOf(emulator).send(new EncryptCommand({ KeyId: options.id, Plaintext: bytes('kept') }));
    })();
    await using emulator = await startEmulator();
    emulator.keys.createSymmetric(options);
    const { Plaintext } = await clientOf(emulator).send(new DecryptCommand({ CiphertextBlob: sealed.CiphertextBlob }));
    assert.equal(Buffer.from(Plaintext ?? []).toString(), 'kept');
  });

  it('refuses as KMS does', async () => {
    await using emulator = await startEmulator();
    const client = clientOf(emulator);
    const { keys } = emulator;
    const key = keys.createSymmetric().arn;
    const encrypt = (KeyId: string, Plaintext = bytes('secret')) =>
      client.send(new EncryptCommand({ KeyId, Plaintext }));
    const { CiphertextBlob = new Uint8Array() } = await encrypt(key);
    const decrypt = (blob: Uint8Array, KeyId?: string) =>
      client.send(new DecryptCommand({ CiphertextBlob: blob, ...(KeyId && { KeyId }) }));

    await rejects(
      encrypt('alias/none'),
      'NotFoundException',
      /^Alias arn:aws:kms:us-east-1:111122223333:alias\/none is not found/,
    );
    await rejects(encrypt(keys.createSymmetric({ state: 'Disabled' }).arn), 'DisabledException');
    await rejects(encrypt(keys.createSymmetric({ state: 'PendingDeletion' }).arn), 'KMSInvalidStateException');
    await rejects(encrypt(keys.create().arn), 'InvalidKeyUsageException');
    await rejects(encrypt(key, new Uint8Array(4097)), 'ValidationException');
    await rejects(encrypt(key, new Uint8Array()), 'ValidationException');

    await rejects(
      decrypt(CiphertextBlob, keys.createSymmetric().arn),
      'IncorrectKeyException',
      /does not identify a CMK/,
    );
    await rejects(decrypt(CiphertextBlob, 'none'), 'NotFoundException');
    await rejects(decrypt(bytes('no blob')), 'InvalidCiphertextException');
    await rejects(decrypt(new Uint8Array(6145)), 'ValidationException');
    for (const at of [0, 5, 30, CiphertextBlob.length - 1]) {
      const changed = Uint8Array.from(CiphertextBlob);
      changed[at] = (changed[at] ?? 0) ^ 1;
      // A changed id names a key that is not there
      const name = at === 5 ? 'AccessDeniedException' : 'InvalidCiphertextException';
      await rejects(decrypt(changed), name);
    }
    await rejects(
      clientOf(emulator).send(
        new EncryptCommand({ KeyId: key, Plaintext: bytes('a'), EncryptionContext: { name: 'x'.repeat(8192) } }),
      ),
      'ValidationException',
    );
    assert.throws(() => keys.createSymmetric({ material: Buffer.alloc(16) }), RangeError);
    assert.throws(() => keys.createSymmetric({ id: 'app' }), RangeError);
    assert.throws(() => keys.createSymmetric({ id: key.replace(/.*\//, '') }), { type: 'AlreadyExistsException' });
  });
});
