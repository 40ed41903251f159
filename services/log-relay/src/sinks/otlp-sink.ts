import { type LogEntry, logBytes, logLevels } from '@enclaver/bus';
import * as z from 'zod';
import { limits } from '../limits.ts';
import { lostText } from './entry-text.ts';
import { type EntryGroup, type Sink, SinkError } from './sink.ts';

/** What a collector answers: it may have taken a part alone (opentelemetry-proto, ExportLogsServiceResponse). */
const answerSchema = z.object({
  partialSuccess: z.object({ rejectedLogRecords: z.coerce.number().int().min(0).default(0) }).optional(),
});

/**
 * These lines will never be taken: not understood, too large. Everything else passes (429, 5xx) or can be put right by somebody
 * (401, 404), and the lines are wanted then.
 */
const REFUSED = new Set([400, 413, 415, 422]);

/**
 * OpenTelemetry logs over HTTP, as JSON. At least once: after a crash up to a second is sent again, and each record has its
 * enclave, stream and sequence. Headers such as a token come from `OTEL_EXPORTER_OTLP_HEADERS`, as for every exporter.
 */
export class OtlpSink implements Sink {
  readonly #url: string;
  readonly #headers: Record<string, string>;

  constructor(url: string, environment: NodeJS.ProcessEnv = process.env) {
    this.#url = url;
    this.#headers = {
      ...headersOf(environment.OTEL_EXPORTER_OTLP_LOGS_HEADERS ?? environment.OTEL_EXPORTER_OTLP_HEADERS ?? ''),
      'content-type': 'application/json',
    };
  }

  async write(groups: readonly EntryGroup[], signal: AbortSignal): Promise<number> {
    const count = groups.reduce((sum, { entries }) => sum + entries.length, 0);
    const response = await this.#send(JSON.stringify(request(groups)), signal);
    if (response.ok) return response.rejected;
    if (REFUSED.has(response.status)) return count;
    throw new SinkError(`${this.#url} answers ${response.status}`);
  }

  async close(): Promise<void> {
    // Each request is its own
  }

  async #send(body: string, signal: AbortSignal): Promise<{ ok: boolean; status: number; rejected: number }> {
    const timeout = AbortSignal.timeout(limits.otlpTimeoutMs);
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        headers: this.#headers,
        body,
        signal: AbortSignal.any([signal, timeout]),
        redirect: 'error',
      });
      const text = await boundedText(response);
      return { ok: response.ok, status: response.status, rejected: response.ok ? rejected(text) : 0 };
    } catch (error) {
      const { message, cause } = error as Error;
      throw new SinkError(`${this.#url}: ${cause instanceof Error ? cause.message : message}`, { cause: error });
    }
  }
}

/** At most so much of an answer is read: it is a few bytes where all went well. */
async function boundedText(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > limits.otlpAnswerBytes) break;
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function rejected(text: string): number {
  try {
    return answerSchema.parse(JSON.parse(text)).partialSuccess?.rejectedLogRecords ?? 0;
  } catch (error) {
    // 200 means taken; what else a server says is its own
    if (error instanceof SyntaxError || error instanceof z.ZodError) return 0;
    throw error;
  }
}

/** `key=value,key=value`, percent-encoded (OpenTelemetry, "Protocol Exporter"). */
function headersOf(text: string): Record<string, string> {
  const pairs = text.split(',').filter((pair) => pair.includes('='));
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      return [pair.slice(0, at).trim().toLowerCase(), decodeURIComponent(pair.slice(at + 1).trim())];
    }),
  );
}

/** An ExportLogsServiceRequest in JSON; one resource for each enclave, whose instance the id is. */
function request(groups: readonly EntryGroup[]) {
  const entries = groups.flatMap((group) => group.entries);
  return {
    resourceLogs: [...Map.groupBy(entries, ({ enclave }) => enclave)].map(([enclave, some]) => ({
      resource: {
        attributes: [text('service.name', some[0]?.name ?? enclave), text('service.instance.id', enclave)],
      },
      scopeLogs: [{ scope: { name: 'enclaver' }, logRecords: some.map(recordOf) }],
    })),
  };
}

function recordOf(entry: LogEntry) {
  const observed = `${BigInt(Date.now()) * 1_000_000n}`;
  const attributes = [text('log.iostream', entry.stream), text('enclaver.stream', entry.stream)];
  if (entry.sequence !== undefined) {
    attributes.push({ key: 'enclaver.sequence', value: { intValue: `${entry.sequence}` } });
  }
  if (entry.continues === true) attributes.push({ key: 'enclaver.continues', value: { boolValue: true } });
  if (entry.lost !== undefined) attributes.push({ key: 'enclaver.lost', value: { intValue: `${entry.lost}` } });
  const level =
    entry.level === undefined ? {} : { severityNumber: logLevels[entry.level].otlp, severityText: entry.level };
  return {
    timeUnixNano: nanosecondsOf(entry.time),
    observedTimeUnixNano: observed,
    ...level,
    body: bodyOf(entry),
    attributes,
  };
}

function bodyOf(entry: LogEntry) {
  if (entry.lost !== undefined) return { stringValue: lostText(entry.lost) };
  if (entry.encoding === 'base64') return { bytesValue: logBytes(entry).toString('base64') };
  return { stringValue: entry.text ?? '' };
}

type Attribute = { key: string; value: { stringValue: string } | { intValue: string } | { boolValue: boolean } };

function text(key: string, value: string): Attribute {
  return { key, value: { stringValue: value } };
}

/** ISO 8601 with up to microseconds, as `isoTime` writes it. */
function nanosecondsOf(time: string): string {
  const milliseconds = Date.parse(time);
  const micros = /\.\d{3}(\d{3})Z$/.exec(time)?.[1] ?? '0';
  return `${BigInt(Number.isNaN(milliseconds) ? 0 : milliseconds) * 1_000_000n + BigInt(micros) * 1_000n}`;
}
