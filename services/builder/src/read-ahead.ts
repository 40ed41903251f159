import { open } from 'node:fs/promises';
import { type Blob, endsEarly } from './image/blob-store.ts';
import { limits } from './limits.ts';

/** One that is looked at, the one before, which may still be on its way to a file, and one that is being read. */
const BUFFERS = 3;

/**
 * The bytes of a range, with a read under way while a block is looked at. A block is valid until the next but one is asked
 * for. Throws IMAGE_TRUNCATED when the file is shorter.
 */
export async function* readAhead({ file, offset, size }: Omit<Blob, 'private'>): AsyncGenerator<Buffer> {
  const length = Math.min(limits.readBytes, size);
  const buffers = Array.from({ length: BUFFERS }, () => Buffer.allocUnsafeSlow(length));
  let asked = 0;
  const read = async (at: number): Promise<Buffer> => {
    const buffer = buffers[asked++ % BUFFERS] ?? Buffer.alloc(0);
    const { bytesRead } = await file.read(buffer, 0, Math.min(length, size - at), offset + at);
    if (bytesRead === 0) throw endsEarly(size - at);
    return buffer.subarray(0, bytesRead);
  };
  let next = size === 0 ? undefined : read(0);
  for (let done = 0; next !== undefined; ) {
    const block = await next;
    done += block.length;
    next = done === size ? undefined : read(done);
    // Whoever stops before never asks how it went
    next?.catch(() => undefined);
    yield block;
  }
}

/** All of a file, likewise. */
export async function* readFileAhead(path: string): AsyncGenerator<Buffer> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  yield* readAhead({ file, offset: 0, size });
}
