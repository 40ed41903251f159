/** What went wrong, with a stable `code` and, where there is one, the way out. */
export class EventsError extends Error {
  readonly code: string;
  readonly remedy: string | undefined;

  constructor(code: string, message: string, remedy?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EventsError';
    this.code = code;
    this.remedy = remedy;
  }
}
