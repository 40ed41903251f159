/** Bytes of a KMS key policy ("Key policy format" in the KMS developer guide). */
export const MAX_KEY_POLICY_BYTES = 32_768;

/** A key policy as a file: that of `aws kms get-key-policy` is a JSON string in JSON, where each quote takes two bytes. */
export const MAX_POLICY_FILE_BYTES = 4 * MAX_KEY_POLICY_BYTES;

/** A build summary of an image of 1,024 layers has some 120 KB. */
export const MAX_EXPECTATION_BYTES = 512 * 1024;

/** Objects and arrays within each other; a key policy needs 5. */
export const MAX_JSON_DEPTH = 32;
