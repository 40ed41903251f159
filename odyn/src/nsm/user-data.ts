import { ATTESTED_TLS_PURPOSE } from '@enclaver/attestation/attested';

/** First bytes of the user data of a document about a sealed value; a SHA-256 follows. */
export const SEALED_VALUE_PURPOSE = 'enclaver sealed value\0';

const PURPOSES = [ATTESTED_TLS_PURPOSE, SEALED_VALUE_PURPOSE].map((text) => Buffer.from(text));

/** Whether user data says what odyn alone may say: an app that lets strangers choose it must not say that for them. */
export function isReserved(userData: Uint8Array): boolean {
  return PURPOSES.some((purpose) => purpose.compare(userData.subarray(0, purpose.length)) === 0);
}
