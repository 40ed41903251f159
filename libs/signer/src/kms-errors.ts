import { SignerError, type SignerErrorCode } from './errors.ts';
import { limits } from './limits.ts';

/** What the names of errors of KMS and its client come to. */
const codes: Readonly<Record<string, SignerErrorCode>> = {
  CredentialsProviderError: 'KMS_CREDENTIALS',
  TokenProviderError: 'KMS_CREDENTIALS',
  ExpiredTokenException: 'KMS_CREDENTIALS',
  IncompleteSignatureException: 'KMS_CREDENTIALS',
  InvalidClientTokenId: 'KMS_CREDENTIALS',
  InvalidSignatureException: 'KMS_CREDENTIALS',
  MissingAuthenticationTokenException: 'KMS_CREDENTIALS',
  UnrecognizedClientException: 'KMS_CREDENTIALS',
  AccessDeniedException: 'KMS_DENIED',
  NotFoundException: 'KMS_KEY_NOT_FOUND',
  DisabledException: 'KMS_KEY_UNUSABLE',
  InvalidKeyUsageException: 'KMS_KEY_UNUSABLE',
  KMSInvalidStateException: 'KMS_KEY_UNUSABLE',
  UnsupportedOperationException: 'KMS_KEY_UNUSABLE',
};

/**
 * The error of a call to KMS as one of ours. It carries neither the client's error nor, for credentials, its text: both can
 * hold parts of a signed request, and with it a session token.
 */
export function kmsError(operation: string, arn: string, error: unknown): SignerError {
  const { name, code: cause, message, $metadata } = error as ClientError;
  const status = $metadata?.httpStatusCode;
  const code = codes[name] ?? (status === undefined ? 'KMS_UNREACHABLE' : 'KMS_FAILED');
  const text = code === 'KMS_CREDENTIALS' ? '' : `: ${message.slice(0, limits.errorTextLength)}`;
  // Errors of sockets are called Error or AggregateError, and tell by their code.
  const what = status === undefined ? (cause ?? name) : `${name} (HTTP ${status})`;
  return new SignerError(code, `${operation} for ${arn} failed with ${what}${text}`);
}

interface ClientError extends Error {
  code?: string;
  $metadata?: { httpStatusCode?: number };
}
