import { options } from '../arguments.ts';
import { codeOf, Failure, meanings } from '../errors.ts';

export function explain(args: readonly string[]): void {
  const code = options(args, { values: ['error-code'] })['error-code'];
  if (code === undefined) throw new Failure(1, '`error-code`');
  const number = meanings.findIndex((_, each) => codeOf(each) === code);
  process.stderr.write(`${number < 0 ? `There is no error code ${code}.` : meanings[number]}\n`);
}
