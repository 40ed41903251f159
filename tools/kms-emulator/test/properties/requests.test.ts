import assert from 'node:assert/strict';
import fc from 'fast-check';
import { holds } from '../../../../test/properties/cases.ts';
import { actions } from '../../src/actions.ts';
import { KeyStore, KmsError } from '../../src/index.ts';
import { recipient, root, SESSION } from '../support.ts';

/** Requests that are nearly right reach further than those at random. */
const base64 = fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes).toString('base64'));

describe('KMS emulator: requests at random', () => {
  it('give an answer or an error of KMS, never a crash', async () => {
    const keys = new KeyStore();
    keys.createSymmetric({ alias: 'alias/app' });
    keys.create({ alias: 'alias/ecdh', usage: 'KEY_AGREEMENT', spec: 'ECC_NIST_P256' });
    keys.create({ alias: 'alias/sign', spec: 'ECC_NIST_P256' });
    const { AttestationDocument = new Uint8Array() } = await recipient();
    const good = {
      AttestationDocument: Buffer.from(AttestationDocument).toString('base64'),
      KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
    };
    const field = <Value>(right: fc.Arbitrary<Value>) =>
      fc.oneof({ weight: 6, arbitrary: right }, { weight: 1, arbitrary: fc.jsonValue() });
    const request = fc.record(
      {
        KeyId: field(fc.constantFrom('alias/app', 'alias/ecdh', 'alias/sign', 'alias/none')),
        Plaintext: field(base64),
        CiphertextBlob: field(base64),
        Message: field(base64),
        PublicKey: field(base64),
        SigningAlgorithm: field(fc.constantFrom('ECDSA_SHA_256', 'ECDSA_SHA_384')),
        EncryptionContext: field(fc.dictionary(fc.string(), fc.string())),
        NumberOfBytes: field(fc.integer({ min: -1, max: 1025 })),
        KeySpec: field(fc.constantFrom('AES_128', 'AES_256')),
        KeyPairSpec: field(fc.constantFrom('ECC_NIST_P256', 'SM2')),
        KeyAgreementAlgorithm: field(fc.constant('ECDH')),
        Recipient: field(fc.constant(good)),
      },
      { requiredKeys: [] },
    );
    const caller = { principal: SESSION, region: 'us-east-1' };
    const outcomes = new Set<string>();
    await holds(
      fc.asyncProperty(fc.constantFrom(...actions), fc.oneof(request, fc.jsonValue()), async ([, run], given) => {
        try {
          const body: unknown = JSON.parse(JSON.stringify(given));
          outcomes.add(
            typeof (await run(body, {
              keys,
              caller,
              now: new Date(),
              roots: [root.certificate],
              documentAgeMs: 300_000,
            })),
          );
        } catch (error) {
          assert.ok(error instanceof KmsError, String(error));
          assert.equal(error.status, 400);
          outcomes.add(error.type);
        }
      }),
      2_000,
    );
    assert.ok(outcomes.has('object') && outcomes.size > 4, [...outcomes].join());
  });
});
