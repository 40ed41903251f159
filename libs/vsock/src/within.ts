import { constants } from 'node:os';
import { VsockError } from './errors.ts';

/** @throws VsockError OPTION_INVALID */
export function within(name: string, value: number, lowest: number, highest: number): void {
  if (Number.isInteger(value) && value >= lowest && value <= highest) return;
  throw new VsockError('OPTION_INVALID', `${name} is ${value}; it is a whole number from ${lowest} to ${highest}`, {
    errno: constants.errno.EINVAL,
  });
}
