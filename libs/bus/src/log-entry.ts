import type { LogLine, LogMessage, LogStreamName } from './logs.ts';

/** The levels that odyn knows, with what other protocols call them: RFC 5424 severity, OpenTelemetry severity number. */
export const logLevels = {
  debug: { syslog: 7, otlp: 5 },
  info: { syslog: 6, otlp: 9 },
  warn: { syslog: 4, otlp: 13 },
  error: { syslog: 3, otlp: 17 },
} as const;

export type LogLevel = keyof typeof logLevels;

/** One line of one enclave, or the news that `lost` records are missing: what programs get of a log, wherever they get it. */
export interface LogEntry extends Partial<Omit<LogLine, 'time' | 'stream'>> {
  enclave: string;
  name: string;
  stream: LogStreamName;
  /** ISO 8601: of a line, the enclave's clock; of `lost` and `console`, the parent's. */
  time: string;
  /** Only where it is known: odyn's own lines say it, an app's do not. */
  level?: LogLevel;
  lost?: number;
}

/** The entries of a message, in order. */
export function logEntries(message: LogMessage): LogEntry[] {
  const { id, name = id } = message;
  const entries: LogEntry[] = [];
  if (message.lost !== undefined) entries.push(lostEntry(message, message.lost));
  // Field by field: there are many
  for (const { time, stream, sequence, text, encoding, continues } of message.lines) {
    const entry: LogEntry = { time, enclave: id, name, stream };
    const level = stream === 'odyn' ? odynLevel(text) : undefined;
    if (level !== undefined) entry.level = level;
    entry.sequence = sequence;
    entry.text = text;
    if (encoding !== undefined) entry.encoding = encoding;
    if (continues !== undefined) entry.continues = continues;
    entries.push(entry);
  }
  return entries;
}

/** Says that `lost` records are missing before those of `message`. */
export function lostEntry(message: LogMessage, lost: number): LogEntry {
  const { id, name = id, published: time } = message;
  return { time, enclave: id, name, stream: 'lost', level: 'warn', lost };
}

/** Bytes of the line as the app wrote them. */
export function logBytes(entry: Pick<LogEntry, 'text' | 'encoding'>): Buffer {
  return Buffer.from(entry.text ?? '', entry.encoding === 'base64' ? 'base64' : 'utf8');
}

/** odyn writes `{"level":"info",…`; the line comes out of an enclave, so that it may be anything. */
function odynLevel(text: string): LogLevel | undefined {
  const level = /^\{"level":"([a-z]{4,5})"/.exec(text)?.[1];
  return level !== undefined && Object.hasOwn(logLevels, level) ? (level as LogLevel) : undefined;
}
