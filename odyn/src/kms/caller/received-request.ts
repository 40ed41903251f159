import { readQuery } from '../query.ts';
import { CallerError } from './caller-error.ts';

/** A request as it came, taken apart for the check of its signature. */
export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  /** Byte for byte, without `?`. */
  readonly rawQuery: string;
  /** Decoded. */
  readonly query: Readonly<Record<string, readonly string[]>>;
  /** By name in small letters; several of one name joined with a comma; bytes read as UTF-8, as signers write them. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
}

/**
 * @param target of the request line
 * @param rawHeaders Node's: name, value, name, value …, with a character for each byte
 * @throws CallerError
 */
export function receive(
  method: string,
  target: string,
  rawHeaders: readonly string[],
  body: Uint8Array,
): ReceivedRequest {
  if (!target.startsWith('/')) throw new CallerError('ValidationException', 'the request target is no path');
  const split = target.indexOf('?');
  const path = split < 0 ? target : target.slice(0, split);
  const rawQuery = split < 0 ? '' : target.slice(split + 1);
  // Signers take these for another path than they are
  const segments = path.slice(1).split('/');
  if (segments.some((each, index) => /^\.{1,2}$/.test(each) || (each === '' && index < segments.length - 1))) {
    throw new CallerError('ValidationException', 'the path has empty or dotted segments');
  }
  return { method, path, rawQuery, query: decoded(rawQuery), headers: headersOf(rawHeaders), body };
}

function decoded(rawQuery: string): Record<string, string[]> {
  try {
    return readQuery(rawQuery);
  } catch {
    throw new CallerError('ValidationException', 'the query is not percent-encoded UTF-8');
  }
}

function headersOf(rawHeaders: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase();
    const value = Buffer.from(rawHeaders[i + 1] ?? '', 'latin1').toString('utf8');
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  return headers;
}
