/** `NSM_` and the device's own code, or what happened on the way to it and back. */
export type NsmErrorCode =
  | 'NSM_INVALID_ARGUMENT'
  | 'NSM_INVALID_INDEX'
  | 'NSM_INVALID_RESPONSE'
  | 'NSM_READ_ONLY_INDEX'
  | 'NSM_INVALID_OPERATION'
  | 'NSM_BUFFER_TOO_SMALL'
  | 'NSM_INPUT_TOO_LARGE'
  | 'NSM_INTERNAL_ERROR'
  | 'NSM_UNKNOWN_ERROR'
  | 'NSM_UNREACHABLE'
  | 'NSM_TIMEOUT'
  | 'NSM_BUSY'
  | 'NSM_FRAME';

/** The device's codes (aws-nitro-enclaves-nsm-api, `src/api/mod.rs`). Its `Success` is none. */
const DEVICE_CODES = {
  InvalidArgument: 'NSM_INVALID_ARGUMENT',
  InvalidIndex: 'NSM_INVALID_INDEX',
  InvalidResponse: 'NSM_INVALID_RESPONSE',
  ReadOnlyIndex: 'NSM_READ_ONLY_INDEX',
  InvalidOperation: 'NSM_INVALID_OPERATION',
  BufferTooSmall: 'NSM_BUFFER_TOO_SMALL',
  InputTooLarge: 'NSM_INPUT_TOO_LARGE',
  InternalError: 'NSM_INTERNAL_ERROR',
} as const satisfies Record<string, NsmErrorCode>;

/** What a device says when it refuses. */
export type DeviceErrorCode = keyof typeof DEVICE_CODES;

const remedies: Record<NsmErrorCode, string> = {
  NSM_INVALID_ARGUMENT: 'compare what was given with the limits in docs/nsm.md',
  NSM_INVALID_INDEX: 'registers are 0 to 31, a range to lock 0 to 32',
  NSM_INVALID_RESPONSE: 'ask again; if it stays, the device or what stands in for it is at fault',
  NSM_READ_ONLY_INDEX: 'take a register from 16 to 31 that has not been locked',
  NSM_INVALID_OPERATION: 'the device does not know this request: compare its version',
  NSM_BUFFER_TOO_SMALL: 'ask again; if it stays, the device or what stands in for it is at fault',
  NSM_INPUT_TOO_LARGE: 'give less: docs/nsm.md has the limits; a hash may stand for what is longer',
  NSM_INTERNAL_ERROR: 'ask again; if it stays, start another enclave',
  NSM_UNKNOWN_ERROR: 'the device is newer than this library: update it',
  NSM_UNREACHABLE: 'is this an enclave, with its driver nsm? else start the simulator',
  NSM_TIMEOUT: 'if it stays, start another enclave',
  NSM_BUSY: 'ask less often, or wait for answers',
  NSM_FRAME: 'use the same version on both sides; nobody else talks to the port of a simulator',
};

/** The NSM refused, or its answer cannot be used. The message says what was found and what is allowed. */
export class NsmError extends Error {
  override readonly name = 'NsmError';
  readonly code: NsmErrorCode;
  /** What the reader of the message can do about it, in one line. */
  readonly remedy: string;

  constructor(code: NsmErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.remedy = remedies[code];
  }
}

/** The error for a code that a device gave. A code that nobody knows, and `Success`, are errors as well. */
export function deviceError(code: string): NsmError {
  const known = Object.hasOwn(DEVICE_CODES, code) ? DEVICE_CODES[code as DeviceErrorCode] : 'NSM_UNKNOWN_ERROR';
  return new NsmError(known, `the NSM answered with the error ${JSON.stringify(code)}`);
}
