import { createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { action, blob, keyId } from '../action.ts';
import { KEY_SPECS, usableFor } from '../key.ts';
import { KmsError } from '../kms-error.ts';
import { limits } from '../limits.ts';
import { attest, recipientField, secretAnswer } from '../recipient.ts';

const request = z.object({
  KeyId: keyId,
  KeyAgreementAlgorithm: z.literal('ECDH'),
  /** DER SubjectPublicKeyInfo, on the curve of the key. */
  PublicKey: blob(1, limits.publicKeyBytes),
  Recipient: recipientField,
});

export const deriveSharedSecret = action(request, async (given, context) => {
  const recipient = await attest(given.Recipient, context);
  const use = { action: 'DeriveSharedSecret', caller: context.caller, pcrs: recipient?.pcrs };
  const key = usableFor(context.keys.use(given.KeyId, use), 'KEY_AGREEMENT', 'DeriveSharedSecret');
  const publicKey = readPublicKey(given.PublicKey, KEY_SPECS[key.spec].curve);
  const secret = diffieHellman({ privateKey: key.privateKey, publicKey });
  const { KeyAgreementAlgorithm } = given;
  return {
    KeyId: key.arn,
    KeyAgreementAlgorithm,
    KeyOrigin: 'AWS_KMS',
    ...secretAnswer('SharedSecret', secret, recipient),
  };
});

/** Points that are not on the curve are refused by OpenSSL. */
function readPublicKey(der: Buffer, curve: string): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = createPublicKey({ key: der, format: 'der', type: 'spki' });
  } catch {
    key = undefined;
  }
  if (key?.asymmetricKeyDetails?.namedCurve === curve) return key;
  throw new KmsError('ValidationException', `PublicKey is no SubjectPublicKeyInfo of a key on the curve ${curve}.`);
}
