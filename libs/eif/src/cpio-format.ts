import { EifError } from './errors.ts';
import { MAX_NAME_BYTES } from './limits.ts';

/** The "new ASCII" cpio format: a magic and 13 numbers of eight hexadecimal digits, the name, the data. */

export const CPIO_HEADER_BYTES = 110;
/** The name that ends an archive. */
export const TRAILER = Buffer.from('TRAILER!!!', 'ascii');

const MAGIC = '070701';
const FIELDS = [
  'ino',
  'mode',
  'uid',
  'gid',
  'nlink',
  'mtime',
  'size',
  'devMajor',
  'devMinor',
  'rdevMajor',
  'rdevMinor',
  'nameSize',
  'check',
] as const;

export type CpioHeader = Record<(typeof FIELDS)[number], number>;

/** File type bits of `mode` (`stat(2)`). */
export const S_IFMT = 0o170000;
export const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;
export const S_IFLNK = 0o120000;
export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;
export const S_IFIFO = 0o010000;
export const S_IFSOCK = 0o140000;
export const FILE_TYPES: readonly number[] = [S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK];

/** Header and name, padded to a multiple of four. */
export function encodeCpioHeader(header: Omit<CpioHeader, 'nameSize' | 'check'>, name: Uint8Array): Buffer {
  const numbers: CpioHeader = { ...header, nameSize: name.length + 1, check: 0 };
  const bytes = Buffer.alloc(roundUp(CPIO_HEADER_BYTES + name.length + 1, 4));
  bytes.write(MAGIC + FIELDS.map((field) => hex8(numbers[field])).join(''), 0, 'latin1');
  bytes.set(name, CPIO_HEADER_BYTES);
  return bytes;
}

/** Refuses, with CPIO_HEADER, what is not a newc header; `position` is for the message. */
export function decodeCpioHeader(bytes: Buffer, position: number): CpioHeader {
  const text = bytes.toString('latin1', 0, CPIO_HEADER_BYTES);
  if (!text.startsWith(MAGIC)) {
    throw new EifError(
      'CPIO_HEADER',
      `no newc header at byte ${position}: found ${JSON.stringify(text.slice(0, 6))}, must be "${MAGIC}"`,
      { remedy: 'unpack the archive first if it is compressed' },
    );
  }
  if (!/^[0-9A-Fa-f]*$/.test(text)) {
    throw new EifError('CPIO_HEADER', `the header at byte ${position} holds something else than hexadecimal digits`);
  }
  const numbers = FIELDS.map((field, index): [string, number] => {
    const start = MAGIC.length + 8 * index;
    return [field, Number.parseInt(text.slice(start, start + 8), 16)];
  });
  const header = Object.fromEntries(numbers) as CpioHeader;
  if (header.nameSize < 2 || header.nameSize > MAX_NAME_BYTES) {
    throw new EifError(
      'CPIO_HEADER',
      `the name at byte ${position} has ${header.nameSize} bytes with its NUL; allowed are 2 to ${MAX_NAME_BYTES}`,
    );
  }
  return header;
}

export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

function hex8(value: number): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}
