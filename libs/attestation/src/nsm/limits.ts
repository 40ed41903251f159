/** Longest request: the driver refuses more with EMSGSIZE (Linux `drivers/misc/nsm.c`). */
export const MAX_REQUEST_BYTES = 0x1000;

/** Longest answer; the driver gives room for as much (the same file). */
export const MAX_ANSWER_BYTES = 0x3000;

/** Bytes of `public_key`, `user_data` and `nonce`, each. AWS's text says 512 for two of them; devices take 1024. */
export const MAX_FIELD_BYTES = 1024;

/** Registers of an NSM. */
export const PCR_COUNT = 32;

/** Bytes of a register: one SHA-384 digest, the only bank there is so far. */
export const PCR_BYTES = 48;

/** Registers below this one belong to the platform and are locked from boot. */
export const FIRST_USER_PCR = 16;

/** What one GetRandom gives at most. */
export const MAX_RANDOM_BYTES = 256;

/** A module id is an instance id and some twenty characters; this only bounds what is believed. */
export const MAX_MODULE_ID = 256;

/** The driver waits as long for the device (Linux `drivers/misc/nsm.c`). Counted from the call, waiting included. */
export const CALL_TIMEOUT_MS = 120_000;

/** Calls at a time, one of them under way. A device makes some 900 documents a second: a full queue is a second old. */
export const MAX_CALLS = 1024;
