import type { z } from 'zod';
import { ProvenanceError, type ProvenanceErrorCode } from './provenance-error.ts';

/** JSON in UTF-8 that has the form of a schema. Throws `code`. */
export function decodeJson<Schema extends z.ZodType>(
  bytes: Uint8Array,
  schema: Schema,
  code: ProvenanceErrorCode,
  what: string,
): z.infer<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ProvenanceError(code, `${what} is not JSON in UTF-8`, { cause });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const found = result.error.issues.slice(0, 5).map(({ path, message }) => `${path.join('.') || '(root)'}: ${message}`);
  throw new ProvenanceError(code, `${what} does not have its form: ${found.join('; ')}`);
}
