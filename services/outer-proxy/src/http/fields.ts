import type { OutgoingHttpHeaders } from 'node:http2';
import { pairs } from '@enclaver/http-forward';

/** Name, value, … as HTTP/2 takes them: names in small letters, the values of one name together. */
export function grouped(headers: readonly string[]): OutgoingHttpHeaders {
  const all: Record<string, string | string[]> = {};
  for (const [name, value] of pairs(headers)) {
    const key = name.toLowerCase();
    const before = all[key];
    all[key] = before === undefined ? value : [before, value].flat();
  }
  return all;
}

/** The other way: what Node has read of HTTP/2, without `:method` and its like. */
export function withoutPseudo(rawHeaders: readonly string[]): string[] {
  return [...pairs(rawHeaders)].filter(([name]) => !name.startsWith(':')).flat();
}
