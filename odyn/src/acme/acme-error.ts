import type { Problem } from './messages.ts';

export type AcmeErrorCode =
  /** No connection, no TLS, or it broke off. */
  | 'ACME_UNREACHABLE'
  /** The directory answered what RFC 8555 does not know, or a certificate that does not fit. */
  | 'ACME_ANSWER'
  /** The authority said no; the message has its words. */
  | 'ACME_REFUSED'
  /** The authority did not come to an end. */
  | 'ACME_TIMEOUT';

/** Longest text of an authority that is passed on, in characters. */
const MAX_TEXT = 500;

/** Why there is no certificate. */
export class AcmeError extends Error {
  override readonly name = 'AcmeError';
  readonly code: AcmeErrorCode;
  /** Type of the authority's problem, such as `rateLimited`, where ACME_REFUSED. */
  readonly type?: string;
  /** How long the authority asks to wait, in milliseconds. */
  readonly retryAfterMs?: number;

  constructor(
    code: AcmeErrorCode,
    message: string,
    { type, retryAfterMs, ...options }: ErrorOptions & { type?: string; retryAfterMs?: number | undefined } = {},
  ) {
    super(message, options);
    this.code = code;
    if (type !== undefined) this.type = type;
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs;
  }
}

/** An authority's problem document (RFC 7807; RFC 8555, section 6.7) as an error. */
export function refused(what: string, problem: Problem, retryAfterMs?: number): AcmeError {
  const type = problem.type.replace(/^urn:ietf:params:acme:error:/, '');
  const parts = (problem.subproblems ?? []).map(
    ({ identifier, detail }) => `${identifier?.value ?? 'the order'}: ${detail ?? ''}`,
  );
  const text = [problem.detail ?? 'it gives no detail', ...parts].join('; ');
  return new AcmeError('ACME_REFUSED', `${what}: ${printable(text)} (${printable(type)})`, { type, retryAfterMs });
}

/** For logs and the status: one line of a bounded length. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ').slice(0, MAX_TEXT);
}
