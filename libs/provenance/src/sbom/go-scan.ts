import { GO_MAGIC } from './go.ts';

const ELF_MAGIC = Buffer.from('\x7fELF', 'latin1');
const ALIGNMENT = 16;

/**
 * The build information of a Go program, from its magic on, at most `max` bytes; undefined for any other file. Only
 * programs (ELF) are read on.
 */
export async function findGoBuildInfo(data: AsyncIterable<Buffer>, max: number): Promise<Buffer | undefined> {
  let window = Buffer.alloc(0);
  let windowAt = 0;
  let found: Buffer[] | undefined;
  let missing = max;
  for await (const piece of data) {
    if (found !== undefined) {
      const part = Buffer.from(piece.subarray(0, missing));
      found.push(part);
      missing -= part.length;
      if (missing === 0) break;
      continue;
    }
    window = Buffer.concat([window, piece]);
    if (windowAt === 0 && window.length < ELF_MAGIC.length) continue;
    if (windowAt === 0 && !window.subarray(0, ELF_MAGIC.length).equals(ELF_MAGIC)) return undefined;
    const at = alignedIndex(window, windowAt);
    if (at !== -1) {
      const part = Buffer.from(window.subarray(at, at + max));
      found = [part];
      missing = max - part.length;
      if (missing === 0) break;
      continue;
    }
    // The magic may stand across two pieces
    const kept = Math.min(window.length, GO_MAGIC.length - 1);
    windowAt += window.length - kept;
    window = Buffer.from(window.subarray(window.length - kept));
  }
  return found === undefined ? undefined : Buffer.concat(found);
}

function alignedIndex(window: Buffer, windowAt: number): number {
  let at = window.indexOf(GO_MAGIC);
  while (at !== -1 && (windowAt + at) % ALIGNMENT !== 0) at = window.indexOf(GO_MAGIC, at + 1);
  return at;
}
