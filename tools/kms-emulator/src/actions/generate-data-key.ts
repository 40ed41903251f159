import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { action, keyId } from '../action.ts';
import { sealBlob } from '../ciphertext-blob.ts';
import { encryptionContext } from '../encryption-context.ts';
import { usableFor } from '../key.ts';
import type { KeyStore, KeyUse } from '../key-store.ts';
import { limits } from '../limits.ts';
import { attest, recipientField, secretAnswer } from '../recipient.ts';

const SIZES = { AES_128: 16, AES_256: 32 } as const;

const fields = z.object({
  KeyId: keyId,
  EncryptionContext: encryptionContext,
  KeySpec: z.enum(['AES_128', 'AES_256']).optional(),
  NumberOfBytes: z.int().min(1).max(limits.randomBytes).optional(),
});
const isSized = ({ KeySpec, NumberOfBytes }: z.output<typeof fields>): boolean =>
  (KeySpec === undefined) !== (NumberOfBytes === undefined);
const sizeRule = { message: 'Please specify either number of bytes or key spec.' };

export const generateDataKey = action(
  fields.extend({ Recipient: recipientField }).refine(isSized, sizeRule),
  async ({ Recipient, ...given }, context) => {
    const recipient = await attest(Recipient, context);
    const use = { action: 'GenerateDataKey', caller: context.caller, pcrs: recipient?.pcrs };
    const { secret, ...answer } = makeDataKey(given, context.keys, use);
    return { ...answer, ...secretAnswer('Plaintext', secret, recipient) };
  },
);

export const generateDataKeyWithoutPlaintext = action(fields.refine(isSized, sizeRule), (given, { keys, caller }) => {
  const { secret: _, ...answer } = makeDataKey(given, keys, { action: 'GenerateDataKeyWithoutPlaintext', caller });
  return answer;
});

function makeDataKey(given: z.output<typeof fields>, keys: KeyStore, use: KeyUse) {
  const { KeyId, EncryptionContext, KeySpec, NumberOfBytes } = given;
  const found = keys.use(KeyId, { ...use, encryptionContext: EncryptionContext });
  const key = usableFor(found, 'ENCRYPT_DECRYPT', use.action);
  const secret = randomBytes(KeySpec === undefined ? (NumberOfBytes ?? 0) : SIZES[KeySpec]);
  return { secret, KeyId: key.arn, CiphertextBlob: sealBlob(key, secret, EncryptionContext).toString('base64') };
}
