export type CmsErrorCode =
  /** The bytes are no EnvelopedData in BER, or too large, too deep, cut or followed by others. */
  | 'CMS_MALFORMED'
  /** An algorithm, parameter or number of recipients that KMS does not use. */
  | 'CMS_UNSUPPORTED'
  /** Sealed for another key: public knowledge, the identifier is in clear. */
  | 'CMS_RECIPIENT_DIFFERS'
  /** Whatever depends on the private key. Which step failed is not said, not even in `cause`. */
  | 'CMS_NOT_OPENED'
  /** The public key to seal for is no RSA-2048 key. */
  | 'CMS_KEY_INVALID';

/** The one error class of this package. The message says what was found and what is allowed. */
export class CmsError extends Error {
  override readonly name = 'CmsError';
  readonly code: CmsErrorCode;
  /** What the reader of the message can do about it, in one line. */
  readonly remedy: string;

  constructor(code: CmsErrorCode, message: string, remedy: string) {
    super(message);
    this.code = code;
    this.remedy = remedy;
  }
}

export function malformed(found: string): CmsError {
  return new CmsError(
    'CMS_MALFORMED',
    `this is no CMS EnvelopedData: ${found}`,
    'give the decoded CiphertextForRecipient as KMS sent it',
  );
}

export function unsupported(found: string): CmsError {
  return new CmsError(
    'CMS_UNSUPPORTED',
    `${found}; only RSAES-OAEP with SHA-256 and AES-256-CBC to one recipient are opened`,
    'ask KMS with KeyEncryptionAlgorithm RSAES_OAEP_SHA_256',
  );
}
