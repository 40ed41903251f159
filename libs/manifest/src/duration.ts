/** As in Compose files: `500ms`, `10s`, `1m30s`, `2h`. */
export const DURATION_ALLOWED = 'a duration such as 500ms, 10s or 1m30s';

const PATTERN = /^(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?(?:(\d{1,6})ms)?$/;

export class DurationError extends Error {
  override readonly name = 'DurationError';
  readonly code = 'DURATION';
}

/** Milliseconds. Throws DurationError. */
export function parseDuration(text: string): number {
  const parts = PATTERN.exec(text);
  if (text === '' || parts === null) throw new DurationError(`it is not ${DURATION_ALLOWED}`);
  const [hours = 0, minutes = 0, seconds = 0, milliseconds = 0] = parts.slice(1).map((part) => Number(part ?? 0));
  return ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds;
}
