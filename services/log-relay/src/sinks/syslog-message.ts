import { type LogEntry, logBytes, logLevels } from '@enclaver/bus';
import { lostText } from './entry-text.ts';

/** RFC 5424, 6.2.1: facility 1, user-level messages. */
const FACILITY = 1;
/** Lines without a level of their own are `info`, as systemd takes the output of services: nobody knows what a line is. */
const UNKNOWN = logLevels.info.syslog;
/** Number of Enclaver's structured data: 32473 is IANA's for documentation, since there is none of our own (RFC 5612). */
const SD_ID = 'enclaver@32473';

/** One entry as an RFC 5424 message; bytes of the line as they are, after what they are in. */
export function syslogMessage(entry: LogEntry, hostname: string): Buffer {
  const severity = severityOf(entry);
  const fields = [
    ['id', entry.enclave],
    ['name', entry.name],
    ['stream', entry.stream],
    ...(entry.sequence === undefined ? [] : [['sequence', `${entry.sequence}`]]),
    ...(entry.continues === true ? [['continues', 'true']] : []),
    ...(entry.lost === undefined ? [] : [['lost', `${entry.lost}`]]),
  ];
  const data = fields.map(([name, value = '']) => `${name}="${value.replace(/["\\\]]/g, '\\$&')}"`).join(' ');
  const head = `<${FACILITY * 8 + severity}>1 ${entry.time} ${printable(hostname, 255)} ${printable(entry.name, 48)} ${printable(entry.enclave, 128)} ${entry.stream} [${SD_ID} ${data}] `;
  const text = entry.lost === undefined ? logBytes(entry) : Buffer.from(lostText(entry.lost));
  return Buffer.concat([Buffer.from(head), text]);
}

export function severityOf(entry: LogEntry): number {
  return entry.level === undefined ? UNKNOWN : logLevels[entry.level].syslog;
}

/** PRINTUSASCII of at most `length` characters, `-` for none. */
function printable(text: string, length: number): string {
  return text.replace(/[^\x21-\x7e]/g, '_').slice(0, length) || '-';
}
