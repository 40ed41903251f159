import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';

/** The first `max` bytes of a file or pipe, and one more where it has more: its reader then refuses it. */
export async function readBounded(source: string | Readable, max: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of typeof source === 'string' ? createReadStream(source) : source) {
    parts.push(part as Buffer);
    size += (part as Buffer).length;
    if (size > max) break;
  }
  return Buffer.concat(parts, size).subarray(0, max + 1);
}
