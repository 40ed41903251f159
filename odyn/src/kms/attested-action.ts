import type { Json } from './json.ts';
import { KmsError } from './kms-error.ts';
import type { Recipient, RecipientField } from './recipient.ts';

/** The actions of KMS that take an attestation document (no others do), and where each has its secret. */
const SECRETS: ReadonlyMap<string, string> = new Map([
  ['Decrypt', 'Plaintext'],
  ['DeriveSharedSecret', 'SharedSecret'],
  ['GenerateDataKey', 'Plaintext'],
  ['GenerateDataKeyPair', 'PrivateKeyPlaintext'],
  ['GenerateRandom', 'Plaintext'],
]);

export function isAttested(action: string): boolean {
  return SECRETS.has(action);
}

/** The request with our `Recipient`; undefined when the caller has sent one and will open the answer itself. */
export function withRecipient(request: Json, recipient: RecipientField): Json | undefined {
  const own = Object.hasOwn(request, 'Recipient') ? request.Recipient : undefined;
  return own === undefined || own === null ? { ...request, Recipient: recipient } : undefined;
}

/**
 * The answer as it would be without attestation: the secret, in base64, in the field of the action.
 * @throws KmsError KMS_ANSWER when KMS did not seal it for us
 */
export async function openAnswer(action: string, answer: Json, recipient: Pick<Recipient, 'open'>): Promise<Json> {
  const { CiphertextForRecipient: sealed, ...rest } = answer;
  const field = SECRETS.get(action);
  if (field === undefined || typeof sealed !== 'string') {
    throw new KmsError('KMS_ANSWER', `KMS answered ${action} with nothing sealed for this enclave`, {
      remedy: 'does the endpoint attest? emulators such as LocalStack do not',
    });
  }
  const secret = await recipient.open(sealed);
  const opened = { ...rest, [field]: secret.toString('base64') };
  secret.fill(0);
  return opened;
}
