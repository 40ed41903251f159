/** Bounds of what is waited for and taken from KMS. */
export const limits = {
  /** A TCP and TLS handshake with a region on the other side of the world takes well under a second. */
  kmsConnectMs: 3_000,
  /** One answer of KMS: 100 ms are usual. */
  kmsAnswerMs: 3_000,
  /** Tries of one call: the SDK pauses between them and repeats only what may be repeated. */
  kmsAttempts: 3,
  /** A call with all its tries and the search for credentials, which may ask the metadata service of an instance. */
  kmsCallMs: 20_000,
  /** Of an error text of KMS, which names user, action and key. */
  errorTextLength: 500,
} as const;
