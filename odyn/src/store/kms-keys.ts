import type { KmsClient, KmsKey } from '../kms/kms-client.ts';
import { KmsError } from '../kms/kms-error.ts';
import type { SealingKeys } from './sealed-value.ts';
import { StoreError } from './store-error.ts';

/** Of KMS's refusals those that are about the ciphertext: it was changed, or made by another key or for another context. */
const NOT_OURS: readonly (string | undefined)[] = ['InvalidCiphertextException', 'IncorrectKeyException'];

/**
 * Data keys of KMS for one sealed value of one app. Making and opening are attested; the context, which the audit log of KMS
 * shows, has to be the same.
 */
export function kmsSealingKeys(client: KmsClient, keyId: string, app: string, name: string): SealingKeys {
  const context = { 'enclaver:purpose': 'sealed-value', 'enclaver:app': app, 'enclaver:value': name };
  const key: KmsKey = { keyId, context };
  return {
    make: async () => {
      const { plaintext, ciphertext } = await client.generateDataKey(key);
      return { plaintext, wrapped: ciphertext };
    },
    unwrap: async (wrapped) => {
      try {
        return await client.decrypt(key, wrapped);
      } catch (cause) {
        if (!(cause instanceof KmsError) || !NOT_OURS.includes(cause.refusal)) throw cause;
        throw new StoreError('STORE_VALUE_INVALID', 'the store outside gave what this image did not seal', { cause });
      }
    },
  };
}
