import { z } from 'zod';
import { limits } from './limits.ts';

/** What a ciphertext is bound to besides its key. The order of the names does not count. */
export type EncryptionContext = Readonly<Record<string, string>>;

export const encryptionContext = z
  .record(z.string(), z.string())
  .default({})
  .refine((context) => bytesOf(context) <= limits.encryptionContextBytes, {
    message: `must have at most ${limits.encryptionContextBytes} bytes`,
  });

/** The same bytes for the same names and values, in whatever order. */
export function canonicalContext(context: EncryptionContext): Buffer {
  const entries = Object.entries(context).sort(([one], [other]) => (one < other ? -1 : 1));
  return Buffer.from(JSON.stringify(entries));
}

function bytesOf(context: EncryptionContext): number {
  return Object.entries(context).reduce((sum, [name, value]) => sum + Buffer.byteLength(name + value), 0);
}
