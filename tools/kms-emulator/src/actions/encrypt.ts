import { z } from 'zod';
import { action, blob, keyId } from '../action.ts';
import { sealBlob } from '../ciphertext-blob.ts';
import { encryptionContext } from '../encryption-context.ts';
import { SYMMETRIC, usableFor } from '../key.ts';
import { limits } from '../limits.ts';

const request = z.object({
  KeyId: keyId,
  Plaintext: blob(1, limits.plaintextBytes),
  EncryptionContext: encryptionContext,
  EncryptionAlgorithm: z.literal(SYMMETRIC).default(SYMMETRIC),
});

export const encrypt = action(request, (given, { keys, caller }) => {
  const use = { action: 'Encrypt', caller, encryptionContext: given.EncryptionContext };
  const key = usableFor(keys.use(given.KeyId, use), 'ENCRYPT_DECRYPT', 'Encrypt');
  const blob = sealBlob(key, given.Plaintext, given.EncryptionContext);
  return { KeyId: key.arn, CiphertextBlob: blob.toString('base64'), EncryptionAlgorithm: SYMMETRIC };
});
