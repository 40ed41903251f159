import * as z from 'zod';

/** Log lines, `enclaver.v1.log.<id>.<kind>`: one message carries a run of lines of one enclave, in order. */

/** `records` are what comes over the log port, stdout, stderr and odyn in their order; the console is numbered apart. */
export const logKinds = ['records', 'console'] as const;

/** `lost` has no lines: it is what readers are told of records that are missing. */
export const logStreams = ['stdout', 'stderr', 'odyn', 'console', 'lost'] as const;

export const logLineSchema = z.object({
  /** Counts the enclave's records over all streams, without gaps except where `lost` of a batch says so; the console has its own count. */
  sequence: z.number().int().min(0),
  /** Of `records`. A message of schema 1.0 has lines of one stream, which its subject ends with. */
  stream: z.enum(['stdout', 'stderr', 'odyn']).optional(),
  /** ISO 8601, the enclave's clock (console: the parent's). */
  time: z.string(),
  text: z.string(),
  /** Present when the bytes are not UTF-8: `text` is base64. */
  encoding: z.literal('base64').optional(),
  /** The line goes on in the stream's next entry. */
  continues: z.literal(true).optional(),
});

export const logBatchSchema = z.object({
  /** The enclave's name, so that a reader needs no record of an enclave that is long gone. */
  name: z.string().optional(),
  lines: z.array(logLineSchema),
  /** Records dropped before these lines. */
  lost: z.number().int().min(1).optional(),
  /** State of the enclave's log behind this batch: the number of the next line, and how many below it were dropped. */
  next: z.number().int().min(0).optional(),
  lostInAll: z.number().int().min(0).optional(),
});

export type LogKind = (typeof logKinds)[number];
export type LogStreamName = (typeof logStreams)[number];
export type LogLine = z.infer<typeof logLineSchema>;
export type LogBatch = z.infer<typeof logBatchSchema>;

/** A line that says whose it is. */
export interface StreamLine extends Omit<LogLine, 'stream'> {
  stream: LogStreamName;
}

/** One batch as a subscriber gets it. */
export interface LogMessage extends Omit<LogBatch, 'lines'> {
  id: string;
  lines: StreamLine[];
  /** Place of the message on the bus, over all enclaves; goes up, with gaps. */
  position: number;
  /** ISO 8601: when the log-relay published it, by the parent's clock. */
  published: string;
}

/** The lines of a message, whose subject ends with `kind`: those of the console, and of schema 1.0, have their stream there. */
export function streamLines(kind: LogKind | LogStreamName, lines: readonly LogLine[]): StreamLine[] {
  const other = kind === 'records' ? 'stdout' : kind;
  return lines.map((line) => (line.stream === undefined ? { ...line, stream: other } : (line as StreamLine)));
}

/** The streams of which schema 1.0 had messages of their own. */
export function isLogStreamName(name: string): name is LogStreamName {
  return (logStreams as readonly string[]).includes(name);
}
