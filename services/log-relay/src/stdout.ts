import type { EnclaveRecord, LogBatch, LogStreamName } from '@enclaver/bus';

export type StdoutFormat = 'text' | 'json' | 'off';

/** Writes lines to stdout for `docker compose logs` and the like: `name stream| text`, or one JSON object a line. */
export function writeStdout(
  format: StdoutFormat,
  enclave: Pick<EnclaveRecord, 'id' | 'name'>,
  stream: LogStreamName,
  batch: LogBatch,
): void {
  if (format === 'off') return;
  const { id, name } = enclave;
  const json = (data: object): string => `${JSON.stringify({ enclave: id, name, stream, ...data })}\n`;
  let text = '';
  for (const line of batch.lines) {
    text += format === 'json' ? json(line) : `${name} ${stream}| ${line.text}${line.continues ? ' …' : ''}\n`;
  }
  if (batch.lost !== undefined) {
    text += format === 'json' ? json({ lost: batch.lost }) : `${name} lost| ${batch.lost} lines\n`;
  }
  process.stdout.write(text);
}
