/** A whole document. Real ones have 4.5 to 7.6 KB; one with every field full has 10. */
export const MAX_DOCUMENT_BYTES = 16 << 10;

/** CBOR items within each other. A document needs 3; what a later field may need beyond is ignored but must be read over. */
export const MAX_CBOR_DEPTH = 8;

/** Registers of an NSM (nsm-api, `attestation_process.md`, 3.2.2.2; the same for the following three). */
export const MAX_PCRS = 32;

/** One certificate, DER. */
export const MAX_CERTIFICATE_BYTES = 1024;

/** public_key, and user_data and nonce: there the text says 512, too, but real devices take and give 1024. */
export const MAX_OPTION_BYTES = 1024;

/** Bytes of a register: SHA-256, SHA-384, SHA-512. */
export const PCR_SIZES: readonly number[] = [32, 48, 64];

/** Certificates above the leaf. Real documents have 4 (root, region, zone, instance); each costs a signature to check. */
export const MAX_CABUNDLE = 8;

/** The last instant that a Date can have; a later timestamp could be shown to nobody. */
export const MAX_TIMESTAMP_MS = 8_640_000_000_000_000;

/**
 * How far a document's timestamp may be after the verifier's clock when an age is asked for: by as much as AWS lets a leaf
 * certificate begin before it is made, so that the clock may be as wrong here as it may be for the chain.
 */
export const MAX_CLOCK_LAG_MS = 3000;

/** A certificate with a whole document in it, and 100 names of the longest kind. */
export const MAX_ATTESTED_CERTIFICATE_BYTES = 48 << 10;
