import { parseSealingKey } from './key-arn.ts';
import { bounded, kmsClient, read } from './kms-calls.ts';

/** Seals with a symmetric key of AWS KMS. Every method throws SignerError. */
export interface KmsSealer {
  /** At most 4,096 bytes. */
  encrypt(plaintext: Uint8Array): Promise<Buffer>;
  /** A new key of 32 bytes, and itself encrypted. */
  generateDataKey(): Promise<{ plaintext: Buffer; ciphertext: Buffer }>;
}

/**
 * Credentials and endpoint come from the environment, as for every tool that uses AWS's SDK; the region is the one of the ARN of
 * a key or alias. What is sealed opens with the same `context` only. Throws SignerError.
 */
export async function kmsSealer(keyArn: string, context: Readonly<Record<string, string>> = {}): Promise<KmsSealer> {
  const { arn, region } = parseSealingKey(keyArn);
  // Loaded only here, as for signing
  const { EncryptCommand, GenerateDataKeyCommand } = await import('@aws-sdk/client-kms');
  const client = await kmsClient(region);
  const fields = { KeyId: arn, ...(Object.keys(context).length > 0 && { EncryptionContext: { ...context } }) };
  const bytesOf = (field: Uint8Array | undefined): Buffer => read(field, arn, (bytes) => bytes);
  return {
    async encrypt(plaintext) {
      const { CiphertextBlob } = await bounded('kms:Encrypt', arn, (abortSignal) =>
        client.send(new EncryptCommand({ ...fields, Plaintext: plaintext }), { abortSignal }),
      );
      return bytesOf(CiphertextBlob);
    },
    async generateDataKey() {
      const { Plaintext, CiphertextBlob } = await bounded('kms:GenerateDataKey', arn, (abortSignal) =>
        client.send(new GenerateDataKeyCommand({ ...fields, KeySpec: 'AES_256' }), { abortSignal }),
      );
      return { plaintext: bytesOf(Plaintext), ciphertext: bytesOf(CiphertextBlob) };
    },
  };
}
