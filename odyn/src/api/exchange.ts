import type { IncomingMessage, ServerResponse } from 'node:http';
import * as z from 'zod';
import { limits } from '../limits.ts';
import { ApiError } from './api-error.ts';

/** One request, its path found. */
export interface Call {
  readonly request: IncomingMessage;
  readonly url: URL;
  /** The part of the path that may be anything. */
  readonly param: string;
}

/** What an answer is made of. */
export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly type: 'application/cbor' | 'application/json' | 'application/octet-stream';
  readonly body: Uint8Array;
}

export function json(value: unknown, status = 200): Answer {
  return { status, type: 'application/json', body: Buffer.from(`${JSON.stringify(value)}\n`) };
}

/**
 * Bytes as they are; as base64 in JSON for who takes nothing else. Many HTTP libraries ask for JSON and anything beside it:
 * they get the bytes, as from the original.
 */
export function bytesOrJson(
  request: IncomingMessage,
  type: 'application/cbor' | 'application/octet-stream',
  name: string,
  bytes: Uint8Array,
): Answer {
  return takesOnlyJson(request.headers.accept)
    ? json({ [name]: Buffer.from(bytes).toString('base64') })
    : { type, body: bytes };
}

function takesOnlyJson(accept: string | undefined): boolean {
  const ranges = (accept ?? '').split(',').map((range) => range.split(';')[0]?.trim().toLowerCase());
  return ranges.every((range) => range === 'application/json');
}

/** Fields of the request's JSON, checked. Throws API_BODY, API_BODY_TOO_LARGE; API_FIELD for a field of another type. */
export async function readJson<S extends z.ZodType>(request: IncomingMessage, schema: S): Promise<z.output<S>> {
  const text = (await readBody(request)).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ApiError(400, 'API_BODY', `the body is not JSON: ${(cause as Error).message}`, {
      remedy: 'send a JSON object, at least {}',
    });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new ApiError(400, 'API_FIELD', z.prettifyError(result.error), { remedy: 'docs/api.md has the fields' });
}

/** Query parameters by name. Throws API_FIELD for one that is not in `names` or stands twice. */
export function readQuery<N extends string>(url: URL, names: readonly N[]): { [name in N]?: string } {
  const found: { [name in N]?: string } = {};
  for (const [name, value] of url.searchParams) {
    if (!(names as readonly string[]).includes(name) || name in found) {
      const what = name in found ? 'stands twice' : 'is unknown';
      throw new ApiError(400, 'API_FIELD', `the query parameter ${JSON.stringify(name)} ${what}`, {
        remedy: `allowed, once each: ${names.join(', ')}`,
      });
    }
    found[name as N] = value;
  }
  return found;
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  // Not destroyed when it is too large: the connection goes with it, and the answer
  for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > limits.apiBodyBytes) {
      throw new ApiError(413, 'API_BODY_TOO_LARGE', `the body has more than ${limits.apiBodyBytes} bytes`, {
        remedy: 'give less; a hash may stand for what is longer',
      });
    }
    parts.push(part);
  }
  return Buffer.concat(parts, size);
}

/**
 * Sends an answer. What is still to come of the request is read and thrown away, for as long as a request may take: a
 * connection that is closed before would take the answer with it.
 */
export function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  const { status = 200, type, body, headers } = answer;
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  });
  response.end(body);
  request.resume();
}
