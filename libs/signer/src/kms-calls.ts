import type { KMSClient } from '@aws-sdk/client-kms';
import { SignerError } from './errors.ts';
import { kmsError } from './kms-errors.ts';
import { limits } from './limits.ts';

/** AWS's client for a region, which gives up in time. */
export async function kmsClient(region: string): Promise<KMSClient> {
  const { KMSClient } = await import('@aws-sdk/client-kms');
  return new KMSClient({
    region,
    maxAttempts: limits.kmsAttempts,
    requestHandler: {
      connectionTimeout: limits.kmsConnectMs,
      requestTimeout: limits.kmsAnswerMs,
      throwOnRequestTimeout: true,
    },
  });
}

/** A call that ends in time: the SDK's own timeouts do not cover its search for credentials. */
export async function bounded<Answer>(
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
export function read<Value>(bytes: Uint8Array | undefined, arn: string, parse: (bytes: Buffer) => Value): Value {
  if (bytes === undefined) throw new SignerError('KMS_FAILED', `the answer of KMS for ${arn} lacks what was asked for`);
  try {
    return parse(Buffer.from(bytes));
  } catch (cause) {
    throw new SignerError('KMS_FAILED', `the answer of KMS for ${arn} is malformed`, { cause });
  }
}
