/** The bounds of `CiphertextForRecipient` in the KMS API: 1 to 6,144 bytes. The largest plaintext, 4,096 bytes, needs 4,573. */
export const MAX_ENVELOPE_BYTES = 6144;

/** What an envelope may hold: the largest plaintext of Decrypt and the largest private key (RSA-4096, 2.4 KB) fit. */
export const MAX_PLAINTEXT_BYTES = 4096;

/** Elements within each other; an envelope of KMS has 10 levels, down to the hash of the mask generation function. */
export const MAX_DEPTH = 12;

/** Bytes of a length in its long form. Two are needed; more may be there as leading zeros. */
export const MAX_LENGTH_BYTES = 4;

/** Content is written in OCTET STRINGs of at most this size. KMS sends short ones whole; where it splits is not known. */
export const CHUNK_BYTES = 1024;
