export type StoreErrorCode =
  /** The parent takes no connection, does not answer in time, or says that it cannot. */
  | 'STORE_UNAVAILABLE'
  /** What the parent gave is none of our values, or not the one it was asked for. */
  | 'STORE_VALUE_INVALID'
  /** What the parent gave is older than what it has given before. */
  | 'STORE_ROLLED_BACK';

/** What the store outside did wrong. The parent is hostile: nothing of this is a reason to trust anything else. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
