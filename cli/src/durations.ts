import { DURATION_ALLOWED, DurationError, parseDuration } from '@enclaver/manifest';
import { InvalidArgumentError } from 'commander';

/** Reads an option's duration, such as `90s`, as milliseconds. */
export function duration(text: string): number {
  try {
    const ms = parseDuration(text);
    if (ms > 0) return ms;
  } catch (error) {
    if (!(error instanceof DurationError)) throw error;
  }
  throw new InvalidArgumentError(`Allowed is ${DURATION_ALLOWED}.`);
}
