import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';

/** Key and certificates that a port answers with, in PEM form. */
export interface KeyPair {
  readonly key: Buffer | string;
  /** The server's certificate first, then those between it and the root. */
  readonly certificates: Buffer | string;
}

/**
 * What is wrong with a pair, if anything: OpenSSL's own words would come with the first client. A parser's words about a key
 * may quote it, and are not passed on.
 */
export function faultOf({ key, certificates }: KeyPair): string | undefined {
  try {
    if (!new X509Certificate(certificates).checkPrivateKey(createPrivateKey(key)))
      return 'its certificate is not of its key';
  } catch {
    return 'its certificate or key is not in PEM form';
  }
  try {
    createSecureContext({ key, cert: certificates });
  } catch {
    return 'its certificate or key is of a kind that TLS does not take';
  }
  return undefined;
}
