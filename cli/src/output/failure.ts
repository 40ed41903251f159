import { toErrorData } from '@enclaver/bus';
import { showText } from '@enclaver/eif';

/**
 * An error as the user sees it: code, what is wrong, what helps; safe to print line by line, since it may quote an enclave or another host.
 * One without a code is our own fault and shows its stack.
 */
export function formatFailure(error: unknown): string {
  const { code, message, remedy } = toErrorData(error);
  const text = code === 'INTERNAL' && error instanceof Error ? (error.stack ?? message) : message;
  const lines = `error[${code}]: ${text}\n${remedy === undefined ? '' : `  help: ${remedy}\n`}`;
  return lines.split('\n').map(showText).join('\n');
}
