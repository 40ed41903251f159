/** An error as KMS gives it: `__type` and `message` in JSON, with this status. */
export class KmsError extends Error {
  override readonly name = 'KmsError';
  /** The name of an exception of the KMS interface, such as `NotFoundException`. */
  readonly type: string;
  readonly status: number;

  constructor(type: string, message: string, status = 400) {
    super(message);
    this.type = type;
    this.status = status;
  }
}
