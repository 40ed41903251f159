import { NsmError, type NsmErrorCode } from '@enclaver/attestation/nsm';

export type ApiErrorCode =
  | 'API_BODY'
  | 'API_BODY_TOO_LARGE'
  | 'API_FIELD'
  | 'API_FORBIDDEN'
  | 'API_INTERNAL'
  | 'API_METHOD'
  | 'API_NOT_FOUND'
  | 'API_READ_ONLY'
  | 'API_REQUEST';

/** What a request is answered with when it cannot be carried out. */
export interface ApiFailure {
  /** Of HTTP. */
  readonly status: number;
  readonly code: ApiErrorCode | NsmErrorCode;
  readonly message: string;
  readonly remedy?: string;
}

/** A request that asks for what is not possible. */
export class ApiError extends Error implements ApiFailure {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly code: ApiErrorCode;
  readonly remedy: string;
  /** For the answer's `Allow`. */
  readonly allow?: readonly string[];

  constructor(
    status: number,
    code: ApiErrorCode,
    message: string,
    { remedy, allow }: { remedy: string; allow?: readonly string[] },
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.remedy = remedy;
    if (allow !== undefined) this.allow = allow;
  }
}

/** What the device refuses because of the request; everything else is a device that cannot answer now: 503. */
const NSM_STATUS: Partial<Record<NsmErrorCode, number>> = {
  NSM_INVALID_ARGUMENT: 400,
  NSM_INPUT_TOO_LARGE: 400,
  NSM_INVALID_INDEX: 404,
  NSM_READ_ONLY_INDEX: 409,
};

/** Status, code and text for whatever was thrown. A fault of ours shows nothing of itself: it may quote the request. */
export function failureOf(error: unknown): ApiFailure {
  if (error instanceof ApiError) return error;
  if (error instanceof NsmError) {
    const { code, message, remedy } = error;
    return { status: NSM_STATUS[code] ?? 503, code, message, remedy };
  }
  return { status: 500, code: 'API_INTERNAL', message: 'the attestation API failed', remedy: 'report it' };
}
