import * as z from 'zod';
import { readBody } from '../egress/own-http.ts';
import { limits } from '../limits.ts';
import { isAttested, openAnswer, withRecipient } from './attested-action.ts';
import { type Json, readObject } from './json.ts';
import { KmsError, reasonOf } from './kms-error.ts';
import type { KmsSender } from './kms-sender.ts';
import type { Recipient } from './recipient.ts';

/** Binds a ciphertext to what it is for: names and values that have to be the same to open it. */
export type EncryptionContext = Readonly<Record<string, string>>;

export interface KmsKey {
  /** Key ARN, alias ARN, key id or alias. */
  readonly keyId: string;
  /** Default: that of the ARN, else `AWS_REGION` of the image, else where the instance is. */
  readonly region?: string | undefined;
  readonly context?: EncryptionContext | undefined;
}

export interface KmsClientOptions {
  readonly sender: KmsSender;
  readonly recipient: Recipient;
  /** Where neither the call nor the key names one. */
  readonly region: () => Promise<string>;
}

const blob = z.base64().transform((text) => Buffer.from(text, 'base64'));
const decrypted = z.object({ Plaintext: blob, KeyId: z.string() });
const encrypted = z.object({ CiphertextBlob: blob });
const dataKey = z.object({ Plaintext: blob, CiphertextBlob: blob });

/**
 * KMS for odyn's own use. Where KMS can, it answers for this enclave alone: the key's policy may name what it measures.
 *
 * Every method rejects with KmsError; KMS_REFUSED has KMS's own name of the refusal.
 */
export class KmsClient {
  readonly #options: KmsClientOptions;

  constructor(options: KmsClientOptions) {
    this.#options = options;
  }

  /** Attested. KMS refuses a ciphertext of another key than `keyId`. The plaintext is the caller's to wipe. */
  async decrypt(key: KmsKey, ciphertext: Uint8Array): Promise<Buffer> {
    const answer = await this.#call('Decrypt', key, { CiphertextBlob: base64(ciphertext) });
    return read(decrypted, answer, 'Decrypt').Plaintext;
  }

  /** Not attested: KMS lets nobody attest Encrypt. At most 4096 bytes. */
  async encrypt(key: KmsKey, plaintext: Uint8Array): Promise<Buffer> {
    const answer = await this.#call('Encrypt', key, { Plaintext: base64(plaintext) });
    return read(encrypted, answer, 'Encrypt').CiphertextBlob;
  }

  /** Attested. A new key for AES-256, and itself under the key of KMS. */
  async generateDataKey(key: KmsKey): Promise<{ plaintext: Buffer; ciphertext: Buffer }> {
    const answer = await this.#call('GenerateDataKey', key, { KeySpec: 'AES_256' });
    const { Plaintext: plaintext, CiphertextBlob: ciphertext } = read(dataKey, answer, 'GenerateDataKey');
    return { plaintext, ciphertext };
  }

  async #call(action: string, { keyId, region, context }: KmsKey, fields: Json): Promise<Json> {
    const { sender, recipient } = this.#options;
    const asked: Json = { KeyId: keyId, ...(context === undefined ? {} : { EncryptionContext: context }), ...fields };
    const attested = isAttested(action);
    const request = (attested ? withRecipient(asked, await recipient.field()) : undefined) ?? asked;
    const response = await sender.send({
      region: region ?? regionOf(keyId) ?? (await this.#options.region()),
      method: 'POST',
      path: '/',
      query: '',
      headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `TrentService.${action}` },
      body: Buffer.from(JSON.stringify(request)),
    });
    const body = await readBody(response, limits.kmsAnswerBytes).catch((cause) => {
      throw new KmsError('KMS_ANSWER', `the answer of KMS to ${action} broke off: ${reasonOf(cause)}`, { cause });
    });
    const answer = readObject(body);
    if (response.statusCode !== 200) throw refused(action, answer ?? {});
    if (answer === undefined) throw new KmsError('KMS_ANSWER', `KMS answered ${action} with something that is no JSON`);
    return attested ? openAnswer(action, answer, recipient) : answer;
  }
}

/** `arn:<partition>:kms:<region>:…` */
function regionOf(keyId: string): string | undefined {
  const [arn, , service, region] = keyId.split(':');
  return arn === 'arn' && service === 'kms' && region !== '' ? region : undefined;
}

function refused(action: string, answer: Json): KmsError {
  const refusal = String(answer.__type ?? 'an error without a name').replace(/^.*#/, '');
  const message = String(answer.message ?? answer.Message ?? 'without a reason');
  return new KmsError('KMS_REFUSED', `KMS refuses ${action}: ${refusal}: ${message}`, { refusal });
}

function read<Output>(schema: z.ZodType<Output>, answer: Json, action: string): Output {
  const result = schema.safeParse(answer);
  if (result.success) return result.data;
  const fields = result.error.issues.map(({ path }) => path.join('.')).join(', ');
  throw new KmsError('KMS_ANSWER', `the answer of KMS to ${action} lacks ${fields}`);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
