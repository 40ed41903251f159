import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { type CmsErrorCode, openEnvelope, parseEnvelope } from '../src/index.ts';
import {
  caseNamed,
  codeOf,
  privateKey,
  publicKeySpki,
  readVectors,
  recipientId,
  spkiOf,
  synthetic,
} from './support.ts';

interface RealCase {
  name: string;
  bytes: number;
  ciphertext_for_recipient_b64: string;
  recipient_ski_hex: string;
  encrypted_key_hex: string;
  iv_hex: string;
  content_hex: string;
  private_key_pkcs8_pem: string | null;
  plaintext_hex: string | null;
}

const { cases: realCases } = await readVectors<{ cases: RealCase[] }>('real.json');

/** Why a case is refused. */
const refusals: Readonly<Record<string, CmsErrorCode>> = {
  'ski-not-sha256-of-spki': 'CMS_RECIPIENT_DIFFERS',
  'wrong-private-key': 'CMS_RECIPIENT_DIFFERS',
  'oaep-sha1-defaults': 'CMS_UNSUPPORTED',
  'oaep-with-label': 'CMS_UNSUPPORTED',
  'rsa-pkcs1v15': 'CMS_UNSUPPORTED',
  'aes-128-cbc': 'CMS_UNSUPPORTED',
  'bad-padding': 'CMS_NOT_OPENED',
  'missing-end-of-contents': 'CMS_MALFORMED',
  'content-type-not-enveloped': 'CMS_MALFORMED',
  'truncated-half': 'CMS_MALFORMED',
};

describe('answers of KMS', () => {
  for (const vector of realCases) {
    const ber = Buffer.from(vector.ciphertext_for_recipient_b64, 'base64');

    it(`${vector.name}: has these parts`, async () => {
      assert.equal(ber.length, vector.bytes);
      const { recipientId: id, encryptedKey, iv, content } = parseEnvelope(ber);
      assert.equal(id.toString('hex'), vector.recipient_ski_hex);
      assert.equal(encryptedKey.toString('hex'), vector.encrypted_key_hex);
      assert.equal(iv.toString('hex'), vector.iv_hex);
      assert.equal(content.toString('hex'), vector.content_hex);
    });

    const pem = vector.private_key_pkcs8_pem;
    if (pem !== null) {
      it(`${vector.name}: opens`, async () => {
        const key = createPrivateKey(pem);
        assert.equal((await openEnvelope(ber, key)).toString('hex'), vector.plaintext_hex);
        assert.equal(recipientId(spkiOf(key)).toString('hex'), vector.recipient_ski_hex);
      });
    }
  }
});

describe('shapes of BER, and what is refused', () => {
  for (const { name, expect, plaintext_hex: plaintext } of synthetic.cases) {
    const { ber } = caseNamed(name);
    const refusal = refusals[name];
    if (refusal === undefined) {
      it(`${name}: opens`, async () => {
        assert.equal(expect, 'plaintext');
        assert.equal((await openEnvelope(ber, privateKey)).toString('hex'), plaintext);
      });
    } else {
      it(`${name}: ${refusal}`, async () => {
        assert.equal(await codeOf(() => openEnvelope(ber, privateKey)), refusal);
      });
    }
  }

  // The vectors leave it open what to do with an identifier that is not the key's. OpenSSL, given the key, does not look at it;
  // we do, since KMS has always sent this one. Nothing else is wrong with that case.
  it('ski-not-sha256-of-spki: opens once the identifier is right', async () => {
    const { ber, plaintext_hex: plaintext } = caseNamed('ski-not-sha256-of-spki');
    const { recipientId: found } = parseEnvelope(ber);
    const mended = Buffer.from(ber);
    recipientId(publicKeySpki).copy(mended, ber.indexOf(found));
    assert.equal((await openEnvelope(mended, privateKey)).toString('hex'), plaintext);
  });
});
