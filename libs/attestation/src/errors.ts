/** Every way an attestation document can be refused. */
export type AttestationErrorCode =
  | 'ATTESTATION_TOO_LARGE'
  | 'ATTESTATION_CBOR'
  | 'ATTESTATION_STRUCTURE'
  | 'ATTESTATION_ALGORITHM'
  | 'ATTESTATION_FIELD'
  | 'ATTESTATION_ROOT'
  | 'ATTESTATION_CERTIFICATE'
  | 'ATTESTATION_ISSUER'
  | 'ATTESTATION_CERTIFICATE_SIGNATURE'
  | 'ATTESTATION_AUTHORITY'
  | 'ATTESTATION_LEAF'
  | 'ATTESTATION_NOT_YET_VALID'
  | 'ATTESTATION_EXPIRED'
  | 'ATTESTATION_SIGNATURE'
  | PolicyCode
  | 'ATTESTATION_TLS_CERTIFICATE'
  | 'ATTESTATION_TLS_DOCUMENT'
  | 'ATTESTATION_OPTION';

/** The document is genuine, but is not what the verifier expects. */
export type PolicyCode =
  | 'ATTESTATION_DEBUG'
  | 'ATTESTATION_PCR'
  | 'ATTESTATION_NONCE'
  | 'ATTESTATION_USER_DATA'
  | 'ATTESTATION_PUBLIC_KEY'
  | 'ATTESTATION_TOO_OLD'
  | 'ATTESTATION_FUTURE';

const NOT_A_DOCUMENT = 'give the document as the device made it: CBOR bytes, nothing before or behind them';
const NOT_GENUINE = 'do not trust it: no Nitro Secure Module made this document as it is';

const NOT_ATTESTED =
  'do not send anything: who answers there has no certificate of attested TLS, or something on the way ends TLS';

const remedies: Record<AttestationErrorCode, string> = {
  ATTESTATION_TOO_LARGE: NOT_A_DOCUMENT,
  ATTESTATION_CBOR: NOT_A_DOCUMENT,
  ATTESTATION_STRUCTURE: NOT_A_DOCUMENT,
  ATTESTATION_ALGORITHM: NOT_GENUINE,
  ATTESTATION_FIELD: NOT_GENUINE,
  ATTESTATION_ROOT:
    'do not trust it, unless it is of another AWS partition or a simulator whose root you know: give that root',
  ATTESTATION_CERTIFICATE: NOT_GENUINE,
  ATTESTATION_ISSUER: NOT_GENUINE,
  ATTESTATION_CERTIFICATE_SIGNATURE: NOT_GENUINE,
  ATTESTATION_AUTHORITY: NOT_GENUINE,
  ATTESTATION_LEAF: NOT_GENUINE,
  ATTESTATION_NOT_YET_VALID: 'check the clock; for a stored document give the instant at which it was received',
  ATTESTATION_EXPIRED: 'ask for a new document; for a stored one give the instant at which it was received',
  ATTESTATION_SIGNATURE: NOT_GENUINE,
  ATTESTATION_DEBUG: 'start the enclave without debug mode, in which its memory is no secret',
  ATTESTATION_PCR: 'do not trust this enclave unless you know why it differs: it runs another image, or elsewhere',
  ATTESTATION_NONCE: 'ask for a document with the nonce that you have just made; this one may be replayed',
  ATTESTATION_USER_DATA: 'do not use what was said beside the document: the enclave did not say it',
  ATTESTATION_PUBLIC_KEY: 'do not use the key: it is not the one that the enclave attests',
  ATTESTATION_TOO_OLD: 'ask for a new document',
  ATTESTATION_FUTURE: 'check the clock',
  ATTESTATION_TLS_CERTIFICATE: NOT_ATTESTED,
  ATTESTATION_TLS_DOCUMENT: NOT_ATTESTED,
  ATTESTATION_OPTION: 'mend the call; docs/attestation.md has the options',
};

/** One check that failed. */
export interface AttestationFailure {
  code: AttestationErrorCode;
  /** What was found and what is allowed. */
  message: string;
}

/**
 * The one error class of this package. `code` is that of the first check that failed. A genuine document is held against all
 * expectations: `failures` has each that it does not meet.
 */
export class AttestationError extends Error {
  override readonly name = 'AttestationError';
  readonly code: AttestationErrorCode;
  readonly failures: readonly [AttestationFailure, ...AttestationFailure[]];
  /** What the reader of the message can do about it, in one line. */
  readonly remedy: string;

  constructor(
    code: AttestationErrorCode,
    message: string,
    cause?: unknown,
    others: readonly AttestationFailure[] = [],
  ) {
    super([message, ...others.map((other) => other.message)].join('; '), cause === undefined ? {} : { cause });
    this.code = code;
    this.failures = [{ code, message }, ...others];
    this.remedy = remedies[code];
  }
}
