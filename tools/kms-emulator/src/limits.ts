/** Bounds of the emulator. Those of fields are KMS's own, from its API reference. */
export const limits = {
  /** A request: the largest that KMS takes is a Decrypt with an attestation document of 256 KiB, in base64. */
  bodyBytes: 512 << 10,
  /** A client that sends slower than this is broken. */
  requestMs: 10_000,
  /** How far the time in a signature may be from ours, as for AWS. */
  clockSkewMs: 300_000,
  /** What KMS signs at most as it is (`MessageType` RAW). */
  rawMessageBytes: 4096,
  /** `Plaintext` of Encrypt. */
  plaintextBytes: 4096,
  /** Every `CiphertextBlob`. */
  ciphertextBytes: 6144,
  /** `PublicKey` of DeriveSharedSecret. */
  publicKeyBytes: 8192,
  /** `NumberOfBytes` of GenerateRandom and GenerateDataKey. */
  randomBytes: 1024,
  /** All names and values of an encryption context together. */
  encryptionContextBytes: 8192,
  /** `Recipient.AttestationDocument`. */
  documentBytes: 262_144,
  /** How old a document may be. By common account that of KMS; AWS does not say, and no source that we read confirms it. */
  documentAgeMs: 300_000,
  /** A key policy. */
  policyBytes: 32_768,
  /** All are held in memory and listed in one answer. */
  keys: 1000,
  /** A configuration: some hundred keys with policies of usual size. */
  configBytes: 4 << 20,
} as const;
