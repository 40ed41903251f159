import { closeSync, openSync, readSync } from 'node:fs';
import { OdynError } from '../odyn-error.ts';

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
      const part = Buffer.allocUnsafe(64 * 1024);
      const read = readSync(fd, part);
      if (read === 0) return Buffer.concat(parts, size);
      size += read;
      if (size > maxBytes) throw new OdynError('FILE_UNREADABLE', `${path} has more than ${maxBytes} bytes`);
      parts.push(part.subarray(0, read));
    }
  } catch (cause) {
    if (cause instanceof OdynError) throw cause;
    throw new OdynError('FILE_UNREADABLE', `cannot read ${path}: ${(cause as Error).message}`, { cause });
  } finally {
    closeSync(fd);
  }
}
