import type { EncryptionContext } from '../encryption-context.ts';

/** What condition keys compare. Without a document there are no keys of it, and so no condition on one holds. */
export interface ConditionSources {
  encryptionContext?: EncryptionContext | undefined;
  /** Registers of a verified attestation document. */
  pcrs?: ReadonlyMap<number, Uint8Array> | undefined;
}

/** Condition keys of a request, in lower case: `kms:EncryptionContext:<name>` and `kms:RecipientAttestation:…`. */
export function conditionKeys({ encryptionContext = {}, pcrs = new Map() }: ConditionSources): Map<string, string> {
  const keys = new Map<string, string>();
  for (const [name, value] of Object.entries(encryptionContext)) {
    keys.set(`kms:encryptioncontext:${name}`.toLowerCase(), value);
  }
  for (const [index, value] of pcrs) {
    const hex = Buffer.from(value).toString('hex');
    keys.set(`kms:recipientattestation:pcr${index}`, hex);
    if (index === 0) keys.set('kms:recipientattestation:imagesha384', hex);
  }
  return keys;
}
