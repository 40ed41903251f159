import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import {
  DecryptCommand,
  DeriveSharedSecretCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyPairCommand,
  GenerateRandomCommand,
  type RecipientInfo,
} from '@aws-sdk/client-kms';
import { DevelopmentRoot } from '@enclaver/attestation/simulator';
import { openEnvelope } from '@enclaver/cms';
import { kmsStatement } from '@enclaver/trust';
import type { KmsEmulator } from '../src/index.ts';
import {
  clientOf,
  measurements,
  pcr,
  policyOf,
  ROLE,
  recipient,
  recipientKey,
  startEmulator,
  stranger,
} from './support.ts';

const SECRET = new TextEncoder().encode('the secret');
const statement = kmsStatement({ principal: ROLE, pcrs: measurements });
/** Lets the role encrypt from anywhere, and do what attests from the enclave alone. */
const encrypting = { Effect: 'Allow', Principal: { AWS: ROLE }, Action: 'kms:Encrypt', Resource: '*' };
const policy = policyOf(encrypting, statement);

const rejects = (request: Promise<unknown>, name: string, message = /./): Promise<void> =>
  assert.rejects(request, (error: Error) => {
    assert.equal(error.name, name, error.message);
    assert.match(error.message, message);
    return true;
  });
const open = (envelope: Uint8Array | undefined): Promise<Buffer> =>
  openEnvelope(envelope ?? new Uint8Array(), recipientKey.privateKey);

/** A ciphertext under a new key with the policy, and a call that wants it opened. */
async function sealed(emulator: KmsEmulator, options: { policy?: unknown } = { policy }) {
  const client = clientOf(emulator);
  const { arn } = emulator.keys.createSymmetric(options);
  const { CiphertextBlob } = await client.send(new EncryptCommand({ KeyId: arn, Plaintext: SECRET }));
  return (Recipient?: RecipientInfo) =>
    client.send(new DecryptCommand({ CiphertextBlob, ...(Recipient && { Recipient }) }));
}

describe('KMS emulator: attested requests', () => {
  it('answers the five actions for the recipient alone', async () => {
    await using emulator = await startEmulator();
    const client = clientOf(emulator);
    const KeyId = emulator.keys.createSymmetric({ policy }).arn;
    const agreement = emulator.keys.create({ usage: 'KEY_AGREEMENT', policy }).arn;
    const Recipient = await recipient();

    const { CiphertextBlob } = await client.send(new EncryptCommand({ KeyId, Plaintext: SECRET }));
    const decrypted = await client.send(new DecryptCommand({ CiphertextBlob, Recipient }));
    assert.deepEqual(await open(decrypted.CiphertextForRecipient), Buffer.from(SECRET));
    assert.equal(decrypted.Plaintext, undefined);
    assert.equal(decrypted.KeyId, KeyId);

    const dataKey = await client.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', Recipient }));
    assert.equal(dataKey.Plaintext, undefined);
    const again = await client.send(new DecryptCommand({ CiphertextBlob: dataKey.CiphertextBlob, Recipient }));
    assert.deepEqual(await open(again.CiphertextForRecipient), await open(dataKey.CiphertextForRecipient));
    assert.equal((await open(dataKey.CiphertextForRecipient)).length, 32);

    const pair = await client.send(new GenerateDataKeyPairCommand({ KeyId, KeyPairSpec: 'RSA_4096', Recipient }));
    assert.equal(pair.PrivateKeyPlaintext, undefined);
    assert.ok((await open(pair.CiphertextForRecipient)).length > 2000);

    const random = await client.send(new GenerateRandomCommand({ NumberOfBytes: 1024, Recipient }));
    assert.equal(random.Plaintext, undefined);
    assert.equal((await open(random.CiphertextForRecipient)).length, 1024);

    const peer = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ type: 'spki', format: 'der' });
    const shared = await client.send(
      new DeriveSharedSecretCommand({ KeyId: agreement, KeyAgreementAlgorithm: 'ECDH', PublicKey: peer, Recipient }),
    );
    assert.equal(shared.SharedSecret, undefined);
    assert.equal((await open(shared.CiphertextForRecipient)).length, 48);
  });

  it('refuses every attested action of the statement without a document', async () => {
    await using emulator = await startEmulator();
    const client = clientOf(emulator);
    const KeyId = emulator.keys.createSymmetric({ policy }).arn;
    const agreement = emulator.keys.create({ usage: 'KEY_AGREEMENT', policy }).arn;
    const { CiphertextBlob } = await client.send(new EncryptCommand({ KeyId, Plaintext: SECRET }));
    const PublicKey = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({
      type: 'spki',
      format: 'der',
    });
    for (const [name, request] of [
      ['Decrypt', client.send(new DecryptCommand({ CiphertextBlob }))],
      ['GenerateDataKey', client.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))],
      ['GenerateDataKeyPair', client.send(new GenerateDataKeyPairCommand({ KeyId, KeyPairSpec: 'ECC_NIST_P256' }))],
      [
        'DeriveSharedSecret',
        client.send(new DeriveSharedSecretCommand({ KeyId: agreement, KeyAgreementAlgorithm: 'ECDH', PublicKey })),
      ],
    ] as const) {
      await rejects(request, 'AccessDeniedException', new RegExp(`not authorized to perform: kms:${name} on resource`));
    }
  });

  it('lets in the measured image, and refuses another one, a changed register, debug mode and a stale document', async () => {
    await using emulator = await startEmulator();
    const decrypt = await sealed(emulator);
    const { CiphertextForRecipient } = await decrypt(await recipient());
    assert.deepEqual(await open(CiphertextForRecipient), Buffer.from(SECRET));

    const other = { PCR0: pcr('1'), PCR1: pcr('2'), PCR2: pcr('3') };
    const ago = (ms: number) => ({ now: () => new Date(Date.now() - ms) });
    for (const changes of [
      { measurements: other },
      { measurements: { ...measurements, PCR1: pcr('1') } },
      { measurements: { ...measurements, PCR2: `${pcr('c').slice(1)}d` } },
      { debug: true },
      ago(6 * 60_000),
      ago(4 * 3_600_000),
      ago(-10 * 60_000),
    ]) {
      await rejects(decrypt(await recipient(changes)), 'AccessDeniedException');
    }
    await decrypt(await recipient(ago(4 * 60_000)));
  });

  it('takes a debug enclave where a policy has zeros: why kmsStatement refuses to make one', async () => {
    await using emulator = await startEmulator();
    const Condition = { StringEqualsIgnoreCase: { 'kms:RecipientAttestation:PCR0': pcr('0') } };
    const zeros = policyOf(
      { Effect: 'Allow', Principal: '*', Action: 'kms:Encrypt', Resource: '*' },
      { Effect: 'Allow', Principal: '*', Action: 'kms:*', Resource: '*', Condition },
    );
    const decrypt = await sealed(emulator, { policy: zeros });
    const { CiphertextForRecipient } = await decrypt(await recipient({ debug: true }));
    assert.deepEqual(await open(CiphertextForRecipient), Buffer.from(SECRET));
    await rejects(decrypt(await recipient()), 'AccessDeniedException');
  });

  it('takes a signed image by PCR8 alone', async () => {
    await using emulator = await startEmulator();
    const signed = { ...measurements, PCR8: pcr('d') };
    const byCertificate = kmsStatement({ principal: ROLE, pcrs: signed, registers: ['PCR8'] });
    const decrypt = await sealed(emulator, { policy: policyOf(encrypting, byCertificate) });
    await decrypt(await recipient({ measurements: { ...signed, PCR0: pcr('1') } }));
    await rejects(decrypt(await recipient()), 'AccessDeniedException');
  });

  it('refuses a document that is not genuine, of another root, changed, or without a key for the answer', async () => {
    await using emulator = await startEmulator();
    const decrypt = await sealed(emulator, {});
    const good = await recipient();
    const changed = Uint8Array.from(good.AttestationDocument ?? []);
    changed[200] = (changed[200] ?? 0) ^ 1;
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'der' });
    const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ type: 'spki', format: 'der' });
    for (const bad of [
      { ...good, AttestationDocument: changed },
      { ...good, AttestationDocument: SECRET },
      { ...good, KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_1' as 'RSAES_OAEP_SHA_256' },
      { KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256' as const },
      await recipient({ root: DevelopmentRoot.create() }),
      await recipient({ publicKey: ec }),
      await recipient({ publicKey: small }),
      await recipient({ publicKey: SECRET }),
    ]) {
      await rejects(decrypt(bad), 'ValidationException');
    }
    await decrypt(good);
  });

  it('trusts no root by itself, not that of AWS either', async () => {
    await using emulator = await startEmulator({ roots: [] });
    const decrypt = await sealed(emulator, {});
    await rejects(decrypt(await recipient()), 'ValidationException', /given no roots/);
  });

  it('holds documents against its own clock', async () => {
    const now = (): Date => new Date(Date.now() + 200_000);
    await using emulator = await startEmulator({ now });
    const decrypt = await sealed(emulator);
    const at = (ms: number) => ({ now: () => new Date(Date.now() + ms) });
    await decrypt(await recipient(at(0)));
    await rejects(decrypt(await recipient(at(-200_000))), 'AccessDeniedException', /ms old/);
  });

  it('does not let a document make up for another principal', async () => {
    await using emulator = await startEmulator();
    const KeyId = emulator.keys.createSymmetric({ policy }).arn;
    const request = new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', Recipient: await recipient() });
    await rejects(
      clientOf(emulator, stranger).send(request),
      'AccessDeniedException',
      /user\/stranger is not authorized/,
    );
    assert.ok(await clientOf(emulator).send(request));
  });
});
