export type Json = Record<string, unknown>;

/** Any JSON value; undefined where it is none, since the parser's message would quote the text. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A JSON object out of bytes; undefined when they are none. */
export function readObject(body: Uint8Array): Json | undefined {
  const value = parseJson(Buffer.from(body).toString('utf8'));
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}
