export type TrustErrorCode =
  | 'ROLE_ARN_INVALID'
  | 'INSTANCE_ID_INVALID'
  | 'REGISTERS_INVALID'
  | 'MEASUREMENTS_ZERO'
  | 'MEASUREMENTS_DIFFER'
  | 'EXPECTATION_INVALID'
  | 'KMS_STATEMENT_INVALID'
  | 'POLICY_INVALID'
  | 'POLICY_TOO_LARGE';

/** The one error class of this package. The message says what was found and what is allowed. */
export class TrustError extends Error {
  override readonly name = 'TrustError';
  readonly code: TrustErrorCode;
  /** What the reader of the message can do about it, in one line. */
  readonly remedy: string;

  constructor(code: TrustErrorCode, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.remedy = remedy;
  }
}
