/** A failure found by the command itself, shown as `error[CODE]: message` with the way out below it. */
export class CliError extends Error {
  readonly code: string;
  readonly remedy: string | undefined;

  constructor(code: string, message: string, remedy?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
    this.code = code;
    this.remedy = remedy;
  }
}
