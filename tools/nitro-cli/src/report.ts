import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, type Failure } from './errors.ts';
import type { Parent } from './parent.ts';

const HELP = 'https://docs.aws.amazon.com/enclaves/latest/user/cli-errors.html';

/** Prints a failure as nitro-cli does: code and words, where to read on, the backtrace if it is asked for, the log it wrote. */
export function report(failure: Failure, action: string, { logs }: Parent): void {
  const code = codeOf(failure.number);
  const backtrace = [
    `  Action: ${action}`,
    '  Subactions:',
    ...failure.backtrace.map((step) => `    ${step}`),
    '  Root error file: tools/nitro-cli (emulator)',
  ].join('\n');
  mkdirSync(logs, { recursive: true });
  const log = join(logs, `err${new Date().toISOString()}-${process.pid}.log`);
  writeFileSync(log, `${backtrace}\n`, { flag: 'a' });
  const parts = [`[ ${code} ] ${failure.message}`, `For more details, please visit ${HELP}#${code}`];
  if (process.env.BACKTRACE === '1') parts.push(`Backtrace:\n${backtrace}`);
  parts.push(`If you open a support ticket, please provide the error log found at "${log}"`);
  process.stderr.write(`${parts.join('\n\n')}\n`);
}
