import { z } from 'zod';
import { action, blob, keyId } from '../action.ts';
import { keyIdOfBlob, openBlob } from '../ciphertext-blob.ts';
import { encryptionContext } from '../encryption-context.ts';
import { SYMMETRIC, usableFor } from '../key.ts';
import { KmsError } from '../kms-error.ts';
import { limits } from '../limits.ts';
import { attest, recipientField, secretAnswer } from '../recipient.ts';

const request = z.object({
  CiphertextBlob: blob(1, limits.ciphertextBytes),
  EncryptionContext: encryptionContext,
  EncryptionAlgorithm: z.literal(SYMMETRIC).default(SYMMETRIC),
  /** Not needed: the ciphertext names its key. */
  KeyId: keyId.optional(),
  Recipient: recipientField,
});

export const decrypt = action(request, async (given, context) => {
  const { keys, caller } = context;
  const recipient = await attest(given.Recipient, context);
  const madeWith = keyIdOfBlob(given.CiphertextBlob);
  if (given.KeyId === undefined && keys.find(madeWith, caller.region) === undefined) {
    throw new KmsError(
      'AccessDeniedException',
      'The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not ' +
        'allowed to access.',
    );
  }
  const { EncryptionContext } = given;
  const use = { action: 'Decrypt', caller, encryptionContext: EncryptionContext, pcrs: recipient?.pcrs };
  const key = usableFor(keys.use(given.KeyId ?? madeWith, use), 'ENCRYPT_DECRYPT', 'Decrypt');
  if (key.id !== madeWith) {
    throw new KmsError(
      'IncorrectKeyException',
      'The key ID in the request does not identify a CMK that can perform this operation.',
    );
  }
  const plaintext = openBlob(key, given.CiphertextBlob, EncryptionContext);
  return { KeyId: key.arn, EncryptionAlgorithm: SYMMETRIC, ...secretAnswer('Plaintext', plaintext, recipient) };
});
