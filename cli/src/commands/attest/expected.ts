import { entriesOf } from '@enclaver/trust';
import { CliError } from '../../cli-error.ts';
import { readExpectation } from '../../expectation.ts';
import type { ExpectationOptions } from './options.ts';

/** The registers that are expected, by index. Errors: `USAGE`, and those of `readExpectation`. */
export async function registersOf(options: ExpectationOptions): Promise<Map<number, Uint8Array>> {
  if (options.key !== undefined && options.expect === undefined) {
    throw new CliError('USAGE', '--key was given without --expect', 'name the signed file, too');
  }
  const pcrs = new Map<number, Uint8Array>();
  if (options.expect !== undefined) {
    for (const [register, value] of entriesOf(await readExpectation(options.expect, options.key))) {
      pcrs.set(Number(register.slice('PCR'.length)), new Uint8Array(Buffer.from(value, 'hex')));
    }
  }
  for (const [name, value] of Object.entries(options)) {
    const [, index] = /^pcr(\d+)$/.exec(name) ?? [];
    if (index === undefined || !(value instanceof Uint8Array)) continue;
    const other = pcrs.get(Number(index));
    if (other !== undefined && Buffer.compare(other, value) !== 0) {
      throw new CliError('USAGE', `--pcr${index} and --expect have two values of PCR${index}`, 'give one of them');
    }
    pcrs.set(Number(index), value);
  }
  return pcrs;
}
