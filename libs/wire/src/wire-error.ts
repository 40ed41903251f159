export type WireErrorCode = 'FRAME_TOO_LARGE' | 'FRAME_INVALID' | 'LINE_TOO_LONG' | 'LINE_INVALID';

/** A peer broke one of the enclave's vsock protocols. The stream it came from must be closed: it cannot be resynchronised. */
export class WireError extends Error {
  readonly code: WireErrorCode;

  constructor(code: WireErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'WireError';
    this.code = code;
  }
}
