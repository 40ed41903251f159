import * as z from 'zod';

/** Log lines, `enclaver.v1.log.<id>.<stream>`: one message carries a run of lines of one stream, in order. */

/** `lost` carries no lines but says how many records were dropped at this place. */
export const logStreams = ['stdout', 'stderr', 'odyn', 'console', 'lost'] as const;

export const logLineSchema = z.object({
  /** Counts the enclave's records over all streams, without gaps except where a `lost` message says so; the console has its own count. */
  sequence: z.number().int().min(0),
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
});

export type LogStreamName = (typeof logStreams)[number];
export type LogLine = z.infer<typeof logLineSchema>;
export type LogBatch = z.infer<typeof logBatchSchema>;

/** One batch as a subscriber gets it. */
export interface LogMessage extends LogBatch {
  id: string;
  stream: LogStreamName;
  /** Place of the message on the bus, over all enclaves; goes up, with gaps. */
  position: number;
  /** ISO 8601: when the log-relay published it, by the parent's clock. */
  published: string;
}

export function isLogStreamName(name: string): name is LogStreamName {
  return (logStreams as readonly string[]).includes(name);
}
