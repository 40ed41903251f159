import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { z } from 'zod';
import { action, keyId } from '../action.ts';
import { sealBlob } from '../ciphertext-blob.ts';
import { encryptionContext } from '../encryption-context.ts';
import { KEY_SPECS, usableFor } from '../key.ts';
import { attest, recipientField, secretAnswer } from '../recipient.ts';

const RSA_BITS = { RSA_2048: 2048, RSA_3072: 3072, RSA_4096: 4096 } as const;

const request = z.object({
  KeyId: keyId,
  EncryptionContext: encryptionContext,
  KeyPairSpec: z.enum([
    'RSA_2048',
    'RSA_3072',
    'RSA_4096',
    'ECC_NIST_P256',
    'ECC_NIST_P384',
    'ECC_NIST_P521',
    'ECC_SECG_P256K1',
  ]),
  Recipient: recipientField,
});
type KeyPairSpec = z.output<typeof request>['KeyPairSpec'];

export const generateDataKeyPair = action(request, async (given, context) => {
  const { KeyId, EncryptionContext, KeyPairSpec } = given;
  const recipient = await attest(given.Recipient, context);
  const name = 'GenerateDataKeyPair';
  const use = { action: name, caller: context.caller, encryptionContext: EncryptionContext, pcrs: recipient?.pcrs };
  const key = usableFor(context.keys.use(KeyId, use), 'ENCRYPT_DECRYPT', name);
  const { publicKey, privateKey } = await makePair(KeyPairSpec);
  const secret = privateKey.export({ type: 'pkcs8', format: 'der' });
  return {
    KeyId: key.arn,
    KeyPairSpec,
    PublicKey: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    PrivateKeyCiphertextBlob: sealBlob(key, secret, EncryptionContext).toString('base64'),
    ...secretAnswer('PrivateKeyPlaintext', secret, recipient),
  };
});

const generate = promisify(generateKeyPair);

function makePair(spec: KeyPairSpec): Promise<{ publicKey: KeyObject; privateKey: KeyObject }> {
  return spec in RSA_BITS
    ? generate('rsa', { modulusLength: RSA_BITS[spec as keyof typeof RSA_BITS] })
    : generate('ec', { namedCurve: KEY_SPECS[spec as keyof typeof KEY_SPECS].curve });
}
