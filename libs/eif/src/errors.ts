/** Every way an EIF file, its contents or a cpio archive can be refused. */
export type EifErrorCode =
  | 'EIF_HEADER'
  | 'EIF_SECTION'
  | 'EIF_SECTIONS'
  | 'EIF_CRC'
  | 'EIF_METADATA'
  | 'EIF_SIGNATURE'
  | 'EIF_TRUNCATED'
  | 'EIF_CHANGED'
  | 'CPIO_ENTRY'
  | 'CPIO_PATH'
  | 'CPIO_SIZE'
  | 'CPIO_HEADER'
  | 'CPIO_TRUNCATED'
  | 'CPIO_TOO_LARGE'
  | 'CPIO_NOT_A_FILE';

/** The one error class of this package. The message says what was found and what is allowed. */
export class EifError extends Error {
  override readonly name = 'EifError';
  readonly code: EifErrorCode;
  /** What the reader of the message can do about it, in one line. */
  readonly remedy?: string;

  constructor(code: EifErrorCode, message: string, options: { remedy?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    if (options.remedy !== undefined) this.remedy = options.remedy;
  }
}
