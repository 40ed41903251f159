import { InvalidArgumentError } from 'commander';

/** Reads an option's whole number from 1. */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('Allowed is a whole number from 1.');
  return value;
}

/** Reads an option's TCP port; `least` is 0 where the system may choose one. */
export function portFrom(least: 0 | 1): (text: string) => number {
  return (text) => {
    const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
    if (!(port >= least && port <= 65_535)) throw new InvalidArgumentError(`Allowed is a port from ${least} to 65535.`);
    return port;
  };
}
