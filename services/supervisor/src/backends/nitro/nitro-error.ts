/** What keeps an enclave from starting on Nitro, with a code of ours; `NITRO_E00` to `NITRO_E60` are nitro-cli's own. */
export type NitroErrorCode =
  | `NITRO_E${string}`
  | 'ARCH_UNSUPPORTED'
  | 'EIF_CHANGED'
  | 'MEMORY_TOO_SMALL'
  | 'NITRO_CLI_MISSING'
  | 'NITRO_CLI_OUTPUT'
  | 'NITRO_CLI_TIMEOUT'
  | 'NITRO_CPUS_SHORT'
  | 'NITRO_CPU_PAIRS'
  | 'NITRO_DEVICE_DENIED'
  | 'NITRO_DEVICE_MISSING'
  | 'NITRO_MEMORY_SHORT';

export class NitroError extends Error {
  readonly code: NitroErrorCode;
  readonly remedy: string | undefined;
  /** Passes by itself: worth another try. */
  readonly passing: boolean;

  constructor(
    code: NitroErrorCode,
    message: string,
    { remedy, passing = false, ...options }: ErrorOptions & { remedy?: string; passing?: boolean } = {},
  ) {
    super(message, options);
    this.name = 'NitroError';
    this.code = code;
    this.remedy = remedy;
    this.passing = passing;
  }
}
