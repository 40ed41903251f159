/**
 * The vsock port plan of an enclave. Port numbers are those of the Rust original, so that either side can be
 * swapped for its counterpart: 17000 status, 17001 log, 17002 egress; 9000 is the boot heartbeat of Nitro's own init.
 */
export const HEARTBEAT_PORT = 9000;
export const STATUS_PORT = 17000;
export const LOG_PORT = 17001;
export const EGRESS_PORT = 17002;
/** Ours, dialled by the enclave: the store of sealed values, store.ts. */
export const STORE_PORT = 17004;

/** Where a local emulator serves a simulator of the NSM; the original has no such port, and Nitro has the device. */
export const NSM_PORT = 17003;

/** The byte that init sends to the parent, and gets back, once the kernel is up. */
export const HEARTBEAT_BYTE = 0xb7;
