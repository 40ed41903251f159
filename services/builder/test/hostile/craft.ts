import { type TarEntry, tar } from '../../../../test/images/tar.ts';

const BLOCK = 512;

/** The blocks of some entries with bytes of the last header changed and its checksum made right again. */
export function patched(entry: TarEntry, patches: Readonly<Record<number, string | Buffer>>): Buffer {
  const blocks = tar([entry], { open: true });
  const contentBlocks = Math.ceil(Buffer.from(entry.content ?? '').length / BLOCK);
  const header = blocks.subarray(blocks.length - (contentBlocks + 1) * BLOCK).subarray(0, BLOCK);
  for (const [at, bytes] of Object.entries(patches)) Buffer.from(bytes as string, 'latin1').copy(header, Number(at));
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return blocks;
}

/** An extended header (`x`, `g`, `L`, `K`) with these very bytes. */
export function extension(flag: string, body: string | Buffer): Buffer {
  return patched({ name: 'extension', content: body }, { [TYPE_AT]: flag });
}

/** One record of a PAX header. */
export function record(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + 1;
  while (String(length).length + rest !== length) length = String(length).length + rest;
  return `${length} ${key}=${value}\n`;
}

/** A whole archive of such pieces. */
export function archive(...pieces: readonly Buffer[]): Buffer {
  return Buffer.concat([...pieces, Buffer.alloc(2 * BLOCK)]);
}

/** Where a header's fields are. */
export const UID_AT = 108;
export const SIZE_AT = 124;
export const TYPE_AT = 156;
export const MAGIC_AT = 257;
export const MAJOR_AT = 329;
export const PREFIX_AT = 345;

/** A number as GNU tar writes what octal digits do not hold. */
export function base256(value: bigint, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let rest = BigInt.asUintN(8 * length, value);
  for (let at = length - 1; at >= 0; at -= 1, rest >>= 8n) bytes[at] = Number(rest & 0xffn);
  bytes[0] = (bytes[0] ?? 0) | 0x80;
  return bytes;
}
