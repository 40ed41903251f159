import { closeSync, openSync, readSync } from 'node:fs';
import { OdynError } from '../odyn-error.ts';

/** One for all reads: the kernel's socket table is read twenty times a second while an app starts. */
const block = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * The whole of a file, read until its end: those of /proc have no size.
 * @throws OdynError FILE_UNREADABLE, also for a file of more than `maxBytes`
 */
export function readBounded(path: string, maxBytes: number): Buffer {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (cause) {
    throw new OdynError('FILE_UNREADABLE', `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  try {
    const parts: Buffer[] = [];
    let size = 0;
    for (;;) {
      const read = readSync(fd, block);
      if (read === 0) return Buffer.concat(parts, size);
      size += read;
      if (size > maxBytes) throw new OdynError('FILE_UNREADABLE', `${path} has more than ${maxBytes} bytes`);
      parts.push(Buffer.from(block.subarray(0, read)));
    }
  } catch (cause) {
    if (cause instanceof OdynError) throw cause;
    throw new OdynError('FILE_UNREADABLE', `cannot read ${path}: ${(cause as Error).message}`, { cause });
  } finally {
    closeSync(fd);
  }
}
