import type { Http2Stream, OutgoingHttpHeaders } from 'node:http2';
import { pairs } from '@enclaver/http-forward';

/** Fields pass as they come: some that HTTP has but once come twice from apps and clients, and in HTTP/1.1 nobody minds. */
export const asTheyCome = { strictSingleValueFields: false } as const;

/** Name, value, … as HTTP/2 takes them: names in small letters, the values of one name together. */
export function grouped(headers: readonly string[]): OutgoingHttpHeaders {
  // Without a prototype: a field may be called as something that every object has
  const all: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of pairs(headers)) {
    const key = name.toLowerCase();
    const before = all[key];
    all[key] = before === undefined ? value : [before, value].flat();
  }
  return all;
}

/** Behind a body, as Node asks for it. What it then refuses to send must end this stream, and not the process. */
export function sendTrailers(stream: Http2Stream, fields: readonly string[]): void {
  try {
    stream.sendTrailers(grouped(fields));
  } catch (cause) {
    stream.destroy(new Error('the trailers cannot be sent', { cause }));
  }
}

/** The other way: what Node has read of HTTP/2, without `:method` and its like. */
export function withoutPseudo(rawHeaders: readonly string[]): string[] {
  return [...pairs(rawHeaders)].filter(([name]) => !name.startsWith(':')).flat();
}
