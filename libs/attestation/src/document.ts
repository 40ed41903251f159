/** An attestation document of the Nitro Secure Module, as it was received. Byte strings are views of one copy of it. */
export interface AttestationDocument {
  /** `<instance id>-enc<hex>`. */
  moduleId: string;
  digest: 'SHA384';
  /** Milliseconds since 1970, by the clock of the machine that signed. */
  timestamp: number;
  /** Index 0 to 31 to value. Registers 0 to 15 always, zeros included; of the others those that are locked. */
  pcrs: Map<number, Uint8Array>;
  /** Certificate of the key that signed: DER. */
  certificate: Uint8Array;
  /** Certificates above it: DER, root first. */
  cabundle: Uint8Array[];
  publicKey?: Uint8Array;
  userData?: Uint8Array;
  nonce?: Uint8Array;
  /** CBOR of the protected header. */
  protectedHeader: Uint8Array;
  /** CBOR of all fields above. The signature is over these bytes. */
  payload: Uint8Array;
  /** r and s, 48 bytes each. */
  signature: Uint8Array;
}

/** What a verifier knows beforehand. What is left out is not checked, but for debug mode. */
export interface DocumentExpectation {
  pcrs?: ReadonlyMap<number, Uint8Array>;
  nonce?: Uint8Array;
  userData?: Uint8Array;
  publicKey?: Uint8Array;
  /** Milliseconds between the document's timestamp and `at`. */
  maxAgeMs?: number;
  /** Whether PCR0 may be all zeros: an enclave in debug mode, whose memory the parent instance reads. */
  allowDebug?: boolean;
}

export interface VerifyOptions {
  /** Trusted roots: DER. Default: the root of AWS's commercial partition. */
  roots?: readonly Uint8Array[];
  /** The instant to verify at: now for a document that has just been received. */
  at: Date;
  expect?: DocumentExpectation;
}
