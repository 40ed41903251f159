/** Every way in which a signing key or certificate can be out of reach. What is wrong with their content is an EifError. */
export type SignerErrorCode =
  | 'SIGN_FILE'
  | 'KMS_KEY_ARN'
  | 'KMS_CREDENTIALS'
  | 'KMS_DENIED'
  | 'KMS_KEY_NOT_FOUND'
  | 'KMS_KEY_UNUSABLE'
  | 'KMS_UNREACHABLE'
  | 'KMS_FAILED';

const remedies: Record<SignerErrorCode, string> = {
  SIGN_FILE: 'name a file that may be read; in a build it is the builder who reads it',
  KMS_KEY_ARN:
    'give arn:<partition>:kms:<region>:<account>:key/<id>; to sign, an asymmetric key, or a path to a PEM file',
  KMS_CREDENTIALS:
    'set AWS_PROFILE, or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or run with an instance role; check the clock',
  KMS_DENIED:
    'allow the action for this key, in the key policy or by IAM: kms:GetPublicKey and kms:Sign to sign, kms:Encrypt to seal',
  KMS_KEY_NOT_FOUND: 'check account, region and id of the key',
  KMS_KEY_UNUSABLE:
    'use an enabled key: to sign, with usage SIGN_VERIFY and spec ECC_NIST_P256, ECC_NIST_P384 or ECC_NIST_P521; to seal, a symmetric one',
  KMS_UNREACHABLE: 'check the network, the region in the ARN, and AWS_ENDPOINT_URL_KMS where it is set',
  KMS_FAILED: 'try again; if it stays, look at the state of AWS KMS in that region',
};

/** The one error class of this package. The message says what was found and what is allowed. */
export class SignerError extends Error {
  override readonly name = 'SignerError';
  readonly code: SignerErrorCode;
  /** What the reader of the message can do about it, in one line. */
  readonly remedy: string;

  constructor(code: SignerErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.remedy = remedies[code];
  }
}
