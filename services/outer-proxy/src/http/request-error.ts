import { HttpFault } from '@enclaver/http-forward';
import type { Logger } from 'pino';

/** What a client is answered in the place of an enclave: a status, a stable code, and words. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly status: number;
  readonly code: RequestErrorCode;

  constructor(status: number, code: RequestErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.code = code;
  }

  /** The answer's headers and its body, which says no more than the client may know. */
  answer(): { headers: string[]; body: Buffer } {
    const body = Buffer.from(`${JSON.stringify({ code: this.code, message: this.message })}\n`);
    const headers = ['Content-Type', 'application/json', 'Content-Length', String(body.length)];
    headers.push('Enclaver-Error', this.code, 'Cache-Control', 'no-store');
    if (this.status === 503 || this.status === 429) headers.push('Retry-After', '1');
    return { headers, body };
  }

  /** The client is answered so. */
  note(entry: { status: number; code: RequestErrorCode | undefined }): void {
    entry.status = this.status;
    entry.code = this.code;
  }
}

export type RequestErrorCode =
  | 'REQUEST_INVALID'
  | 'REQUEST_TOO_LARGE'
  | 'REQUEST_TIMEOUT'
  | 'METHOD_REFUSED'
  | 'HOST_INVALID'
  | 'HOST_UNKNOWN'
  | 'NO_ROUTE'
  | 'UPGRADE_REFUSED'
  | 'ENCLAVE_BROKE_OFF'
  | 'RATE_LIMITED'
  | 'ENCLAVE_BUSY'
  | 'ENCLAVE_NOT_READY'
  | 'ENCLAVE_TIMEOUT'
  | 'ENCLAVE_UNREACHABLE'
  | 'INTERNAL';

/** Whatever was thrown, as the client may know it. */
export function requestErrorOf({ logger }: { readonly logger: Logger }, error: unknown): RequestError {
  if (error instanceof RequestError) {
    if (error.cause !== undefined)
      logger.debug({ err: error.cause, code: error.code }, 'request not answered by its enclave');
    return error;
  }
  if (error instanceof HttpFault && error.status === 400)
    return new RequestError(400, 'REQUEST_INVALID', error.message);
  logger.error({ err: error }, 'request failed');
  return new RequestError(500, 'INTERNAL', 'a fault of the outer-proxy');
}

export function tooLarge(): RequestError {
  return new RequestError(431, 'REQUEST_TOO_LARGE', 'the headers are too many or too large');
}

export function connectRefused(): RequestError {
  return new RequestError(405, 'METHOD_REFUSED', 'this is no forward proxy: CONNECT leads nowhere');
}
