import * as z from 'zod';
import { parseJson } from '../json.ts';
import { KmsError } from '../kms-error.ts';

/** What requests to AWS are signed with. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** Without it they stay valid. */
  readonly expiration?: Date;
}

/** Where odyn has its credentials from. */
export interface CredentialSource {
  /** For messages. */
  readonly name: string;
  /** @throws KmsError KMS_CREDENTIALS */
  fetch(): Promise<Credentials>;
}

/** What becomes part of a header. */
const text = z
  .string()
  .min(1)
  .max(16_384)
  .regex(/^[\x21-\x7e]+$/);

const schema = z.object({
  AccessKeyId: text,
  SecretAccessKey: z.string().min(1).max(1024),
  Token: text,
  Expiration: z.iso.datetime({ offset: true }).transform((value) => new Date(value)),
});

/**
 * Reads the JSON in which the metadata service and container agents give credentials. What it holds is never part of an
 * error. @throws KmsError KMS_CREDENTIALS
 */
export function readCredentials(body: string, from: string): Credentials {
  const result = schema.safeParse(parseJson(body));
  if (result.success) {
    const { AccessKeyId, SecretAccessKey, Token, Expiration } = result.data;
    return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token, expiration: Expiration };
  }
  const fields = [...new Set(result.error.issues.map(({ path }) => path.join('.')))].filter((path) => path !== '');
  const what = fields.length === 0 ? 'no JSON object' : `no ${fields.join(', no ')}`;
  throw new KmsError('KMS_CREDENTIALS', `${from} answered with ${what} that can be used`);
}
