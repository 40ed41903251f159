import { createHash, createPublicKey } from 'node:crypto';
import { algorithmOfKey, type EifSigner, type SignatureAlgorithm } from '@enclaver/eif';
import { rawSignature } from './der-signature.ts';
import { SignerError } from './errors.ts';
import type { KeyArn } from './key-arn.ts';
import { kmsError } from './kms-errors.ts';
import { limits } from './limits.ts';

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
  const { GetPublicKeyCommand, KMSClient, SignCommand } = await import('@aws-sdk/client-kms');
  const client = new KMSClient({
    region,
    maxAttempts: limits.kmsAttempts,
    requestHandler: {
      connectionTimeout: limits.kmsConnectMs,
      requestTimeout: limits.kmsAnswerMs,
      throwOnRequestTimeout: true,
    },
  });
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

/** A call that ends in time: the SDK's own timeouts do not cover its search for credentials. */
async function bounded<Answer>(
  operation: string,
  arn: string,
  call: (abortSignal: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  const abort = new AbortController();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new SignerError('KMS_UNREACHABLE', `${operation} for ${arn} was not answered in ${limits.kmsCallMs} ms`));
    abort.abort();
  }, limits.kmsCallMs);
  try {
    return await Promise.race([call(abort.signal), late]);
  } catch (error) {
    throw error instanceof SignerError ? error : kmsError(operation, arn, error);
  } finally {
    clearTimeout(timer);
  }
}

/** What an answer holds, understood by `parse`. */
function read<Value>(bytes: Uint8Array | undefined, arn: string, parse: (bytes: Buffer) => Value): Value {
  if (bytes === undefined) throw new SignerError('KMS_FAILED', `the answer of KMS for ${arn} lacks what was asked for`);
  try {
    return parse(Buffer.from(bytes));
  } catch (cause) {
    throw new SignerError('KMS_FAILED', `the answer of KMS for ${arn} is malformed`, { cause });
  }
}
