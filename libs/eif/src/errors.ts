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
  | 'EIF_HASH_THREAD'
  | 'SIGN_CERTIFICATE'
  | 'SIGN_CERTIFICATE_DATES'
  | 'SIGN_KEY'
  | 'SIGN_KEY_MISMATCH'
  | 'SIGN_FAILED'
  | 'CPIO_ENTRY'
  | 'CPIO_PATH'
  | 'CPIO_SIZE'
  | 'CPIO_HEADER'
  | 'CPIO_TRUNCATED'
  | 'CPIO_COMPRESSED'
  | 'CPIO_TOO_LARGE'
  | 'CPIO_NOT_A_FILE';

const GET_AGAIN = 'the file is damaged or cut off: copy it again, or build it again with `enclaver build`';

/** What helps against a file that is not what it says, unless the place of the error knows better. */
const remedies: Partial<Record<EifErrorCode, string>> = {
  EIF_HEADER: 'name an enclave image (EIF) as `enclaver build` or nitro-cli makes it',
  EIF_SECTION: GET_AGAIN,
  EIF_SECTIONS: GET_AGAIN,
  EIF_CRC: GET_AGAIN,
  EIF_METADATA: GET_AGAIN,
  EIF_TRUNCATED: GET_AGAIN,
  SIGN_CERTIFICATE: 'name a file that holds one certificate in PEM form and nothing else',
  SIGN_CERTIFICATE_DATES: 'renew the certificate, and check the clock',
  SIGN_KEY_MISMATCH: 'name the key that the certificate was made for, or make a certificate for this key',
  SIGN_FAILED: 'sign again; if it stays, the key or the service that holds it is at fault',
  EIF_HASH_THREAD: 'try again; if memory was short, build fewer images at a time',
  EIF_CHANGED: 'leave the file alone while it is read, or work on a copy',
};

/** The one error class of this package. The message says what was found and what is allowed. */
export class EifError extends Error {
  override readonly name = 'EifError';
  readonly code: EifErrorCode;
  /** What the reader of the message can do about it, in one line. */
  readonly remedy?: string;

  constructor(code: EifErrorCode, message: string, options: { remedy?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    const remedy = options.remedy ?? remedies[code];
    if (remedy !== undefined) this.remedy = remedy;
  }
}
