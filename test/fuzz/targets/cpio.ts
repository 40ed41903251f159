import assert from 'node:assert/strict';
import { cpio, EifError, readCpio } from '@enclaver/eif';
import { readOrRefuseLater } from '../target.ts';

const archive = async (entries: Parameters<typeof cpio>[0]): Promise<Buffer> => {
  const parts: Uint8Array[] = [];
  for await (const part of cpio(entries)) parts.push(part);
  return Buffer.concat(parts);
};

export const seeds = [
  await archive([]),
  await archive([
    { path: 'a', mode: 0o40755 },
    { path: 'a/b', mode: 0o100644, size: 5, data: Buffer.from('hello') },
    { path: 'a/c', mode: 0o120777, size: 1, data: Buffer.from('b') },
  ] as never),
];

/** An initramfs: no entry has more bytes than there are, and each lies behind the one before. */
export async function fuzz(input: Buffer): Promise<void> {
  await readOrRefuseLater(async () => {
    let before = 0;
    for await (const { size, offset, data } of readCpio(input)) {
      assert.ok(offset >= before && offset + size <= input.length + 4 * size, 'inside of the archive');
      before = offset;
      let bytes = 0;
      for await (const piece of data) bytes += piece.length;
      assert.equal(bytes, size);
    }
  }, EifError);
}
