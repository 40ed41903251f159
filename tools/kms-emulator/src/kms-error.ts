/** An error as KMS gives it: `__type` and its message in JSON, with this status. */
export class KmsError extends Error {
  override readonly name = 'KmsError';
  /** The name of an exception of the KMS interface, such as `NotFoundException`. */
  readonly type: string;
  readonly status: number;

  constructor(type: string, message = '', status = 400) {
    super(message);
    this.type = type;
    this.status = status;
  }

  /** KMS leaves an empty message out, and writes that of a refused access with a capital. */
  get answer(): Record<string, string> {
    if (this.message === '') return { __type: this.type };
    return { __type: this.type, [this.type === 'AccessDeniedException' ? 'Message' : 'message']: this.message };
  }
}
