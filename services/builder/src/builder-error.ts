import { showText } from '@enclaver/eif';

/** Characters of a message: images can hold names of megabytes, and a message goes over the bus. */
const MAX_MESSAGE = 4000;

export type BuilderErrorCode =
  | 'ATTACH_NEEDS_PUSH'
  | 'BASE_IMAGE_MISSING'
  | 'BUILDER_BUSY'
  | 'BUILD_CANCELLED'
  | 'BUILD_NOT_REPRODUCIBLE'
  | 'BUILD_TIMEOUT'
  | 'CREDENTIALS_INVALID'
  | 'DISK_FULL'
  | 'ENGINE_ERROR'
  | 'ENGINE_UNREACHABLE'
  | 'IMAGE_ARCH'
  | 'IMAGE_DIGEST_MISMATCH'
  | 'IMAGE_INVALID'
  | 'IMAGE_NOT_FOUND'
  | 'IMAGE_NO_COMMAND'
  | 'IMAGE_NOT_RECORDED'
  | 'IMAGE_NO_EIF'
  | 'IMAGE_PATH_ESCAPE'
  | 'IMAGE_TOO_LARGE'
  | 'IMAGE_TRUNCATED'
  | 'KMS_FILE'
  | 'NOT_IN_THIS_RELEASE'
  | 'OUTPUT_INVALID'
  | 'PULL_FAILED'
  | 'PUSH_FAILED'
  | 'RUNTIME_INVALID'
  | 'RUNTIME_MISSING'
  | 'SKOPEO_MISSING'
  | 'SOURCE_MOVED'
  | 'TLS_FILE';

/**
 * The one error class of this package. The message says what was found and what is allowed; since much of it is an image's
 * own text, it is cut, and made safe to print line by line.
 */
export class BuilderError extends Error {
  override readonly name = 'BuilderError';
  readonly code: BuilderErrorCode;
  /** What the reader of the message can do about it, in one line. */
  readonly remedy?: string;

  constructor(code: BuilderErrorCode, message: string, options: { remedy?: string; cause?: unknown } = {}) {
    const lines = message.slice(0, MAX_MESSAGE).split('\n').map(showText).join('\n');
    super(
      message.length > MAX_MESSAGE ? `${lines}…` : lines,
      options.cause === undefined ? {} : { cause: options.cause },
    );
    this.code = code;
    if (options.remedy !== undefined) this.remedy = options.remedy;
  }
}
