import { InvalidArgumentError } from 'commander';

/** Reads an option's whole number from 1. */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('Allowed is a whole number from 1.');
  return value;
}
