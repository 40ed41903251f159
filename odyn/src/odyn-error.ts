export type OdynErrorCode =
  | 'ADDON_MISSING'
  | 'ACME_FAILED'
  | 'APP_NOT_STARTED'
  | 'CGROUP'
  | 'CLOCK_SET'
  | 'CLOCK_SOURCE'
  | 'CMDLINE_INVALID'
  | 'ENTROPY_MISSING'
  | 'ENTROPY_SOURCE'
  | 'ETC_UNWRITABLE'
  | 'FILE_UNREADABLE'
  | 'KMS_FILE'
  | 'LAUNCH_INVALID'
  | 'NOT_IN_RELEASE'
  | 'NSM_MISSING'
  | 'REDIRECT_FAILED'
  | 'SIGNAL_UNKNOWN'
  | 'STOPPED'
  | 'TLS_FETCH'
  | 'TLS_FILE'
  | 'TLS_KMS'
  | 'USER_UNKNOWN';

/** Why the app could not be started; the message becomes the text of the status `fatal`. */
export class OdynError extends Error {
  readonly code: OdynErrorCode;
  readonly remedy?: string;

  constructor(code: OdynErrorCode, message: string, options: ErrorOptions & { remedy?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'OdynError';
    this.code = code;
    if (options.remedy !== undefined) this.remedy = options.remedy;
  }
}

/** Code and text of whatever was thrown, as `CODE: text (remedy)`. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? `${error.code}: ` : '';
  const remedy = 'remedy' in error && typeof error.remedy === 'string' ? ` (${error.remedy})` : '';
  return `${code}${error.message}${remedy}`;
}
