/** ECDSA on one curve with the hash that goes with it. */
export interface Suite {
  /** As WebCrypto calls them. */
  readonly curve: 'P-256' | 'P-384';
  readonly hash: 'SHA-256' | 'SHA-384';
  /** Signature algorithm in certificates: RFC 5758, section 3.2. */
  readonly signatureId: string;
  readonly signatureName: string;
  /** DER of the curve's identifier: RFC 5480, section 2.1.1.1. */
  readonly curveId: Uint8Array;
  /** Bytes of r, and of s. */
  readonly width: number;
}

/** Of the Nitro Secure Module. */
export const es384: Suite = {
  curve: 'P-384',
  hash: 'SHA-384',
  signatureId: '1.2.840.10045.4.3.3',
  signatureName: 'ecdsa-with-SHA384',
  curveId: Uint8Array.of(0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22),
  width: 48,
};

/** Of the TLS certificates that enclaves make. */
export const es256: Suite = {
  curve: 'P-256',
  hash: 'SHA-256',
  signatureId: '1.2.840.10045.4.3.2',
  signatureName: 'ecdsa-with-SHA256',
  curveId: Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07),
  width: 32,
};
