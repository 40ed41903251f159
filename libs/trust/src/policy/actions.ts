/** The only operations of KMS that take an attestation document ("Condition keys for Nitro Enclaves", KMS developer guide). */
export const ATTESTING_ACTIONS = [
  'kms:Decrypt',
  'kms:DeriveSharedSecret',
  'kms:GenerateDataKey',
  'kms:GenerateDataKeyPair',
  'kms:GenerateRandom',
] as const;

export type AttestingAction = (typeof ATTESTING_ACTIONS)[number];

/**
 * What gives away the key's secrets to a caller without attestation. GenerateRandom uses no key; ReEncryptFrom turns a
 * ciphertext into one of another key, which may be the caller's own.
 */
export const SECRET_ACTIONS = [
  'kms:Decrypt',
  'kms:DeriveSharedSecret',
  'kms:GenerateDataKey',
  'kms:GenerateDataKeyPair',
  'kms:ReEncryptFrom',
] as const;

/** Whether a pattern of a policy (`*` and `?` stand for anything; case does not count) takes in this text, in steps of their product. */
export function matches(pattern: string, text: string): boolean {
  const wanted = pattern.toLowerCase();
  const given = text.toLowerCase();
  let at = 0;
  let star = -1;
  let starAt = 0;
  for (let index = 0; index < given.length; ) {
    if (wanted[at] === '*') {
      star = at++;
      starAt = index;
    } else if (wanted[at] === '?' || wanted[at] === given[index]) {
      at += 1;
      index += 1;
    } else if (star >= 0) {
      // The last star takes in one character more
      at = star + 1;
      index = ++starAt;
    } else {
      return false;
    }
  }
  while (wanted[at] === '*') at += 1;
  return at === wanted.length;
}
