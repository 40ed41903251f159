/** Identifier bytes of ASN.1 (X.690, 8.1.2) that an envelope has. */
export const tags = {
  INTEGER: 0x02,
  OCTET_STRING: 0x04,
  NULL: 0x05,
  OBJECT_IDENTIFIER: 0x06,
  SEQUENCE: 0x30,
  SET: 0x31,
  /** Primitive `[0]`: an octet string under an implicit tag. */
  CONTEXT_0: 0x80,
  CONTEXT_0_CONSTRUCTED: 0xa0,
  CONTEXT_1_CONSTRUCTED: 0xa1,
} as const;

export const CONSTRUCTED = 0x20;

/** Contents of object identifiers. */
export const objectIds = {
  /** 1.2.840.113549.1.7.1, RFC 5652. */
  data: Buffer.from('2a864886f70d010701', 'hex'),
  /** 1.2.840.113549.1.7.3, RFC 5652. */
  envelopedData: Buffer.from('2a864886f70d010703', 'hex'),
  /** 1.2.840.113549.1.1.7, RFC 4055. */
  rsaesOaep: Buffer.from('2a864886f70d010107', 'hex'),
  /** 1.2.840.113549.1.1.8, RFC 4055. */
  mgf1: Buffer.from('2a864886f70d010108', 'hex'),
  /** 2.16.840.1.101.3.4.2.1, RFC 5754. */
  sha256: Buffer.from('608648016503040201', 'hex'),
  /** 2.16.840.1.101.3.4.1.42, RFC 3565. */
  aes256Cbc: Buffer.from('60864801650304012a', 'hex'),
} as const;
