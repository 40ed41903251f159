import { createHash, createPublicKey } from 'node:crypto';
import { algorithmOfKey, type EifSigner, type SignatureAlgorithm } from '@enclaver/eif';
import { rawSignature } from './der-signature.ts';
import { SignerError } from './errors.ts';
import type { KeyArn } from './key-arn.ts';
import { bounded, kmsClient, read } from './kms-calls.ts';

const KMS_ALGORITHMS = {
  ES256: 'ECDSA_SHA_256',
  ES384: 'ECDSA_SHA_384',
  ES512: 'ECDSA_SHA_512',
} as const satisfies Record<SignatureAlgorithm, string>;
const KEY_SPECS: readonly (string | undefined)[] = ['ECC_NIST_P256', 'ECC_NIST_P384', 'ECC_NIST_P521'];

/**
 * Signs with a key that never leaves AWS KMS. Credentials and endpoint come from the environment, as for every tool that
 * uses AWS's SDK; the region is the one of the ARN. Throws SignerError, here and when it signs.
 */
export async function kmsSigner({ arn, region }: KeyArn): Promise<EifSigner> {
  // Loaded only here: it takes as long as all the rest of signing with a PEM key.
  const { GetPublicKeyCommand, SignCommand } = await import('@aws-sdk/client-kms');
  const client = await kmsClient(region);
  const answer = await bounded('kms:GetPublicKey', arn, (abortSignal) =>
    client.send(new GetPublicKeyCommand({ KeyId: arn }), { abortSignal }),
  );
  if (answer.KeyUsage !== 'SIGN_VERIFY' || !KEY_SPECS.includes(answer.KeySpec)) {
    throw new SignerError(
      'KMS_KEY_UNUSABLE',
      `${arn} has usage ${answer.KeyUsage} and spec ${answer.KeySpec}; allowed are SIGN_VERIFY and ${KEY_SPECS.join(', ')}`,
    );
  }
  const publicKey = read(answer.PublicKey, arn, (key) => createPublicKey({ key, format: 'der', type: 'spki' }));
  const algorithm = algorithmOfKey(publicKey);
  return {
    algorithm: algorithm.name,
    publicKey,
    async sign(message) {
      const { Signature } = await bounded('kms:Sign', arn, (abortSignal) =>
        client.send(
          new SignCommand({
            KeyId: arn,
            MessageType: 'DIGEST',
            Message: createHash(algorithm.hash).update(message).digest(),
            SigningAlgorithm: KMS_ALGORITHMS[algorithm.name],
          }),
          { abortSignal },
        ),
      );
      return read(Signature, arn, (der) => rawSignature(der, algorithm.width));
    },
  };
}
