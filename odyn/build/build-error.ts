/** Codes: `TOOL_FAILED`, `TOOL_MISSING`, `INPUT_MISSING`, `INPUT_CHANGED`, `ADDON_TOO_NEW`, `KERNEL_UNFIT`, `BUNDLE_FAILED`. */
export class BuildError extends Error {
  readonly code: string;
  readonly remedy: string | undefined;

  constructor(code: string, message: string, options: ErrorOptions & { remedy?: string } = {}) {
    super(message, options);
    this.name = 'BuildError';
    this.code = code;
    this.remedy = options.remedy;
  }
}
