import { createHash } from 'node:crypto';
import { z } from 'zod';
import { action, blob, keyId } from '../action.ts';
import { signDigest } from '../ecdsa.ts';
import { KEY_SPECS, usableFor } from '../key.ts';
import { KmsError } from '../kms-error.ts';
import { limits } from '../limits.ts';

const request = z.object({
  KeyId: keyId,
  Message: blob(1, limits.rawMessageBytes),
  MessageType: z.enum(['RAW', 'DIGEST']).default('RAW'),
  SigningAlgorithm: z.string(),
});

export const sign = action(request, ({ KeyId, Message, MessageType, SigningAlgorithm }, { keys, caller }) => {
  const key = usableFor(keys.use(KeyId, { action: 'Sign', caller }), 'SIGN_VERIFY', 'Sign');
  const { algorithm, hash } = KEY_SPECS[key.spec];
  if (SigningAlgorithm !== algorithm) {
    throw new KmsError(
      'InvalidKeyUsageException',
      `Algorithm ${SigningAlgorithm} is incompatible with key spec ${key.spec}.`,
    );
  }
  const digest = MessageType === 'DIGEST' ? Message : createHash(hash).update(Message).digest();
  if (digest.length !== createHash(hash).digest().length) {
    throw new KmsError('ValidationException', `Digest is invalid length for algorithm ${algorithm}.`);
  }
  const signature = signDigest(key.privateKey, digest);
  return { KeyId: key.arn, Signature: signature.toString('base64'), SigningAlgorithm };
});
