import { type LogEntry, logBytes } from '@enclaver/bus';

export type EntryFormat = 'text' | 'json';

/** Entries as they stand in a file or on stdout: `time name stream| line` with the line's bytes as they are, or a JSON object a line. */
export function formatEntries(entries: readonly LogEntry[], format: EntryFormat): Buffer {
  if (format === 'json') return Buffer.from(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
  const parts: Buffer[] = [];
  let text = '';
  for (const entry of entries) {
    text += `${entry.time} ${entry.name} ${entry.stream}| `;
    if (entry.encoding === undefined) text += entry.lost === undefined ? entry.text : lostText(entry.lost);
    else {
      // Bytes that are no text
      parts.push(Buffer.from(text), logBytes(entry));
      text = '';
    }
    text += entry.continues === true ? ' …\n' : '\n';
  }
  parts.push(Buffer.from(text));
  return Buffer.concat(parts);
}

/** What people and protocols without a field for it are told of missing lines. */
export function lostText(lost: number): string {
  return `${lost} ${lost === 1 ? 'line' : 'lines'} lost`;
}
