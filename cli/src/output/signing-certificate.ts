import { X509Certificate } from 'node:crypto';

/** The certificate of a signed EIF as `nitro-cli describe-eif` shows it. */
export interface SigningCertificate {
  IssuerName: Record<string, string>;
  Algorithm: string;
  NotBefore: string;
  NotAfter: string;
  /** Bytes as `XX:XX:…`. */
  Signature: string;
}

/** OpenSSL's long names, which nitro-cli shows, of the short ones, which Node gives. */
const LONG_NAMES: Record<string, string> = {
  C: 'countryName',
  ST: 'stateOrProvinceName',
  L: 'localityName',
  O: 'organizationName',
  OU: 'organizationalUnitName',
  CN: 'commonName',
};

export function signingCertificate(pem: string): SigningCertificate {
  const certificate = new X509Certificate(pem);
  const issuer = Object.entries(certificate.toLegacyObject().issuer);
  return {
    IssuerName: Object.fromEntries(
      issuer.map(([name, value]) => [LONG_NAMES[name] ?? name, [value].flat().join(', ')]),
    ),
    Algorithm: certificate.signatureAlgorithm ?? 'unknown',
    NotBefore: certificate.validFrom,
    NotAfter: certificate.validTo,
    Signature: signatureOf(certificate.raw)
      .toString('hex')
      .toUpperCase()
      .replace(/..(?=.)/g, '$&:'),
  };
}

/** The last of the three parts of a certificate in DER (RFC 5280, section 4.1), which OpenSSL has accepted already. */
function signatureOf(der: Buffer): Buffer {
  const whole = content(der, 0);
  const toBeSigned = content(der, whole.start);
  const algorithm = content(der, toBeSigned.end);
  const signature = content(der, algorithm.end);
  // A bit string begins with the number of bits that do not count: none.
  return der.subarray(signature.start + 1, signature.end);
}

/** Where the content of the element at `at` is. */
function content(der: Buffer, at: number): { start: number; end: number } {
  const first = der.readUInt8(at + 1);
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  const length = lengthBytes === 0 ? first : der.readUIntBE(at + 2, lengthBytes);
  const start = at + 2 + lengthBytes;
  return { start, end: start + length };
}
