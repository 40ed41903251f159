/** Bounds of the emulator. */
export const limits = {
  /** A request: the largest that KMS takes is a Decrypt with an attestation document of 256 KiB, in base64. */
  bodyBytes: 512 << 10,
  /** A client that sends slower than this is broken. */
  requestMs: 10_000,
  /** How far the time in a signature may be from ours, as for AWS. */
  clockSkewMs: 300_000,
  /** What KMS signs at most as it is (`MessageType` RAW). */
  rawMessageBytes: 4096,
} as const;
