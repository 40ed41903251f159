import type { KvEntry } from 'nats';
import type * as z from 'zod';

/** What a key holds; undefined for nothing, and for what nobody of ours wrote: the server's answers can be sent to a key by anybody. */
export function contentOf<T>(entry: KvEntry | null, schema: z.ZodType<T>): T | undefined {
  if (entry?.operation !== 'PUT') return undefined;
  const result = schema.safeParse(jsonOf(entry.string()));
  return result.success ? result.data : undefined;
}

/** Undefined for what is no JSON. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
