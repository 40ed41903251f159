import { enclaverProgram } from '../../../cli/src/program.ts';

type Program = ReturnType<typeof enclaverProgram>;

/** What the command line's parser throws. */
interface Refusal {
  /** `commander.unknownOption` and its like. */
  readonly code: string;
  readonly message: string;
  readonly exitCode: number;
}

const isRefusal = (error: unknown): error is Refusal =>
  error instanceof Error && 'code' in error && String(error.code).startsWith('commander.');

/** What the `enclaver` command itself says against arguments, undefined if nothing. It parses them and does nothing. */
export function refusalOfEnclaver(args: readonly string[]): Refusal | undefined {
  const program = enclaverProgram();
  disarm(program);
  try {
    program.parse([...args], { from: 'user' });
    return undefined;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return error.exitCode === 0 ? undefined : error;
  }
}

function disarm(command: Program): void {
  command.action(() => {}).configureOutput({ writeErr: () => {}, writeOut: () => {} });
  for (const each of command.commands) disarm(each);
}
