import assert from 'node:assert/strict';
import { createHash, createHmac, generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { openEnvelope } from '@enclaver/cms';
import { enclave, recipient, recipientKey, startEmulator } from './support.ts';

interface Operation {
  op: string;
  plain_field: string;
  request: Record<string, unknown>;
  answer: Record<string, unknown>;
}

const vectors = JSON.parse(await readFile(new URL('./vectors/operations.json', import.meta.url), 'utf8')) as {
  operations: Operation[];
  errors: { status: number; body: Record<string, string> }[];
};

type Reply = { status: number; body: Record<string, unknown> };

/** The request as it goes over the wire, signed by hand. */
async function post(endpoint: string, operation: string, request: object): Promise<Reply> {
  const body = JSON.stringify(request);
  const date = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const headers = {
    'content-type': 'application/x-amz-json-1.1',
    host: new URL(endpoint).host,
    'x-amz-date': date,
    'x-amz-security-token': enclave.sessionToken,
    'x-amz-target': `TrentService.${operation}`,
  };
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  const names = Object.keys(headers).join(';');
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  const scope = `${date.slice(0, 8)}/us-east-1/kms/aws4_request`;
  const canonical = ['POST', '/', '', lines.join(''), names, sha256(body)].join('\n');
  const text = ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n');
  const key = scope
    .split('/')
    .reduce<Buffer | string>(
      (secret, part) => createHmac('sha256', secret).update(part).digest(),
      `AWS4${enclave.secretAccessKey}`,
    );
  const signature = createHmac('sha256', key).update(text).digest('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${enclave.accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`;
  const response = await fetch(endpoint, { method: 'POST', body, headers: { ...headers, authorization } });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe('KMS emulator: the JSON of the operations that attest', () => {
  for (const { op, plain_field: plain, request, answer } of vectors.operations) {
    it(`${op} has the fields of KMS, for a recipient and without one`, async () => {
      await using emulator = await startEmulator();
      const { arn } = emulator.keys.createSymmetric({ alias: 'alias/k' });
      emulator.keys.create({ alias: 'alias/ecdh', usage: 'KEY_AGREEMENT', spec: 'ECC_NIST_P256' });
      const { body: sealed } = await post(emulator.endpoint, 'Encrypt', { KeyId: arn, Plaintext: 'AAAA' });
      const peer = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
      // What the vectors have for a placeholder
      const own = {
        ...request,
        ...(op === 'Decrypt' && { KeyId: arn, CiphertextBlob: sealed.CiphertextBlob }),
        ...(op === 'DeriveSharedSecret' && {
          PublicKey: peer.export({ type: 'spki', format: 'der' }).toString('base64'),
        }),
      };
      const open = await post(emulator.endpoint, op, own);
      assert.equal(open.status, 200);
      const fields = Object.keys(answer).filter((name) => name !== 'CiphertextForRecipient');
      assert.deepEqual(Object.keys(open.body).sort(), fields.sort());
      assert.equal(typeof open.body[plain], 'string');

      const { AttestationDocument = new Uint8Array() } = await recipient();
      const Recipient = {
        AttestationDocument: Buffer.from(AttestationDocument).toString('base64'),
        KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
      };
      const { body } = await post(emulator.endpoint, op, { ...own, Recipient });
      const expected = Object.keys(answer).filter((name) => name !== plain);
      assert.deepEqual(Object.keys(body).sort(), expected.sort());
      const envelope = Buffer.from(body.CiphertextForRecipient as string, 'base64');
      assert.ok((await openEnvelope(envelope, recipientKey.privateKey)).length > 0);
    });
  }

  it('gives errors in the form of KMS', async () => {
    await using emulator = await startEmulator();
    const { arn: KeyId } = emulator.keys.createSymmetric({ policy: { Statement: [] } });
    const CiphertextBlob = Buffer.from('no ciphertext').toString('base64');
    const replies = [
      await post(emulator.endpoint, 'Encrypt', { KeyId, Plaintext: 'AAAA' }),
      await post(emulator.endpoint, 'Decrypt', { CiphertextBlob }),
      await post(emulator.endpoint, 'Decrypt', {}),
    ];
    for (const [index, { status, body }] of replies.entries()) {
      const expected = vectors.errors[index];
      assert.equal(status, expected?.status);
      assert.equal(body.__type, expected?.body.__type);
      assert.deepEqual(Object.keys(body), Object.keys(expected?.body ?? {}));
    }
  });
});
