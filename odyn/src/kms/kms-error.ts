/** What can go wrong between the app's call and KMS's answer; `type` and `status` are what the app is told. */
const CODES = {
  /** No credentials of the instance, or none that are valid. */
  KMS_CREDENTIALS: { type: 'EnclaverCredentialsUnavailable', status: 503 },
  /** No connection, no TLS, or it broke off. */
  KMS_UNREACHABLE: { type: 'EnclaverKmsUnreachable', status: 502 },
  KMS_TIMEOUT: { type: 'EnclaverKmsTimeout', status: 504 },
  /** There is no KMS endpoint for the region, or not of the kind that the environment wants. */
  KMS_ENDPOINT: { type: 'EnclaverKmsEndpoint', status: 400 },
  /** The NSM gave no document. */
  KMS_ATTESTATION: { type: 'EnclaverAttestationFailed', status: 500 },
  /** KMS answered what it should not, or what does not open. */
  KMS_ANSWER: { type: 'EnclaverKmsAnswerInvalid', status: 502 },
  /** KMS refused a call of odyn's own. */
  KMS_REFUSED: { type: 'EnclaverKmsRefused', status: 400 },
} as const;

export type KmsErrorCode = keyof typeof CODES;

/** A call to KMS that failed on our side of it. The message holds nothing secret: the app is told it. */
export class KmsError extends Error {
  override readonly name = 'KmsError';
  readonly code: KmsErrorCode;
  readonly remedy?: string;
  /** KMS's own name of an error, such as `AccessDeniedException`, where KMS_REFUSED. */
  readonly refusal?: string;

  constructor(
    code: KmsErrorCode,
    message: string,
    { remedy, refusal, ...options }: ErrorOptions & { remedy?: string; refusal?: string } = {},
  ) {
    super(message, options);
    this.code = code;
    if (remedy !== undefined) this.remedy = remedy;
    if (refusal !== undefined) this.refusal = refusal;
  }

  /** The name that the app's SDK is given: `x-amzn-errortype`. */
  get type(): string {
    return CODES[this.code].type;
  }

  get status(): number {
    return CODES[this.code].status;
  }
}

/** The message of whatever was thrown on the way to a server. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
