import { toErrorData } from '@enclaver/bus';

/** An error as the user sees it: code, what is wrong, what helps. One without a code is our own fault and shows its stack. */
export function formatFailure(error: unknown): string {
  const { code, message, remedy } = toErrorData(error);
  const text = code === 'INTERNAL' && error instanceof Error ? (error.stack ?? message) : message;
  return `error[${code}]: ${text}\n${remedy === undefined ? '' : `  help: ${remedy}\n`}`;
}
