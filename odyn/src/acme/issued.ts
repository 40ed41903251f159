import { createPrivateKey, X509Certificate } from 'node:crypto';
import { faultOf, type KeyPair } from '../ingress/certificates/key-pair.ts';
import { limits } from '../limits.ts';

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** A key with the certificates that an authority gave for it. */
export interface Issued extends KeyPair {
  readonly key: string;
  readonly certificates: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/**
 * Key and chain as they may be served: the certificate is of the key, has exactly the names and is within its time, and each
 * certificate is signed by the next. Whether clients trust the root is theirs to see.
 * @returns what is wrong, as a text
 */
export function readIssued(key: string, chain: string, domains: readonly string[], now = Date.now()): Issued | string {
  const blocks = chain.match(PEM_CERTIFICATE) ?? [];
  if (blocks.length === 0 || blocks.length > limits.acmeChain) return `it is a chain of ${blocks.length} certificates`;
  let certificates: X509Certificate[];
  try {
    certificates = blocks.map((block) => new X509Certificate(block));
    createPrivateKey(key);
  } catch {
    return 'it holds what is no certificate or key';
  }
  const leaf = certificates[0] as X509Certificate;
  const pair = { key, certificates: `${blocks.join('\n')}\n` };
  const fault = faultOf(pair);
  if (fault !== undefined) return fault;
  const names = (leaf.subjectAltName ?? '').split(', ').map((name) => name.replace(/^DNS:/, '').toLowerCase());
  if (leaf.ca) return 'it is one of an authority';
  if (!sameSet(names, domains)) return `its names are ${names.join(', ')}`;
  const [notBefore, notAfter] = [leaf.validFromDate, leaf.validToDate];
  if (notBefore.getTime() - limits.acmeSkewMs > now || now >= notAfter.getTime()) {
    return `it is valid from ${notBefore.toISOString()} to ${notAfter.toISOString()} only`;
  }
  for (const [index, certificate] of certificates.slice(0, -1).entries()) {
    const issuer = certificates[index + 1] as X509Certificate;
    if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey))
      return `certificate ${index + 1} of it is not signed by the next`;
  }
  return { ...pair, notBefore, notAfter };
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return new Set(a).size === new Set(b).size && a.every((each) => b.includes(each));
}
