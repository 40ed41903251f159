/** Names that KMS itself gives to what is wrong with a request; SDKs know them. */
export type CallerErrorType =
  | 'AccessDeniedException'
  | 'IncompleteSignatureException'
  | 'InvalidSignatureException'
  | 'MissingAuthenticationTokenException'
  | 'RequestEntityTooLargeException'
  | 'SerializationException'
  | 'UnrecognizedClientException'
  | 'ValidationException';

/** A request of the app that is not sent on. The message holds nothing that was signed. */
export class CallerError extends Error {
  override readonly name = 'CallerError';
  readonly code = 'KMS_CALLER';
  readonly type: CallerErrorType;
  readonly status: number;

  constructor(type: CallerErrorType, message: string, status = 400) {
    super(message);
    this.type = type;
    this.status = status;
  }
}
