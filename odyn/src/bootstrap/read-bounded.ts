import { closeSync, openSync, readSync } from 'node:fs';
import { OdynError } from '../odyn-error.ts';

/** One for all reads: the kernel's socket table is read twenty times a second while an app starts. */
const block = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * A file block by block, until its end or until nobody takes the next; each is good until then.
 * @throws OdynError FILE_UNREADABLE
 */
export function* blocksOf(path: string): Generator<Buffer> {
  const unreadable = (cause: unknown): OdynError =>
    new OdynError('FILE_UNREADABLE', `cannot read ${path}: ${(cause as Error).message}`, { cause });
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (cause) {
    throw unreadable(cause);
  }
  try {
    for (;;) {
      let read: number;
      try {
        read = readSync(fd, block);
      } catch (cause) {
        throw unreadable(cause);
      }
      if (read === 0) return;
      yield block.subarray(0, read);
    }
  } finally {
    closeSync(fd);
  }
}

/**
 * The whole of a file, read until its end: those of /proc have no size.
 * @throws OdynError FILE_UNREADABLE, also for a file of more than `maxBytes`
 */
export function readBounded(path: string, maxBytes: number): Buffer {
  const parts: Buffer[] = [];
  let size = 0;
  for (const part of blocksOf(path)) {
    size += part.length;
    if (size > maxBytes) throw new OdynError('FILE_UNREADABLE', `${path} has more than ${maxBytes} bytes`);
    parts.push(Buffer.from(part));
  }
  return Buffer.concat(parts, size);
}
