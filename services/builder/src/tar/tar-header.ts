import { BuilderError } from '../builder-error.ts';

/** One 512-byte header block as it stands (POSIX.1-2017 "pax", "ustar Interchange Format"; GNU tar's `tar.h`). */
export interface TarHeader {
  /** Bytes of the name, one character each (latin1). */
  name: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  typeflag: string;
  linkName: string;
  devMajor: number;
  devMinor: number;
}

export const TAR_BLOCK = 512;

const CHECKSUM_AT = 148;
const CHECKSUM_LENGTH = 8;

/** Undefined for a block of zeros, which ends an archive. Throws IMAGE_INVALID. */
export function decodeTarHeader(block: Buffer, position: number): TarHeader | undefined {
  const sum = checksum(block);
  if (sum.unsigned === CHECKSUM_LENGTH * 0x20 && block.every((byte) => byte === 0)) return undefined;
  const stated = number(block, CHECKSUM_AT, CHECKSUM_LENGTH, 'checksum', position);
  // Old programs summed signed characters
  if (stated !== sum.unsigned && stated !== sum.signed) {
    throw invalid(position, `its checksum is ${sum.unsigned}, the header says ${stated}`);
  }
  const ustar = block.toString('latin1', 257, 263) === 'ustar\0';
  // star keeps times in the last 24 bytes of the field
  const isStar = block.toString('latin1', 508, 512) === 'tar\0';
  const prefix = ustar ? text(block, 345, isStar ? 131 : 155) : '';
  const name = text(block, 0, 100);
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    mode: number(block, 100, 8, 'mode', position) & 0o7777,
    uid: number(block, 108, 8, 'uid', position),
    gid: number(block, 116, 8, 'gid', position),
    size: number(block, 124, 12, 'size', position),
    typeflag: String.fromCharCode(block[156] ?? 0),
    linkName: text(block, 157, 100),
    devMajor: number(block, 329, 8, 'device number', position),
    devMinor: number(block, 337, 8, 'device number', position),
  };
}

/**
 * Records of a PAX header, keys and values as latin1; a later record of a key wins, and one without a value takes back what
 * was said (POSIX.1-2017). Throws IMAGE_INVALID.
 */
export function decodePax(bytes: Buffer, position: number): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const digits = space === -1 ? '' : bytes.toString('latin1', at, space);
    const length = /^[1-9]\d{0,8}$/.test(digits) ? Number(digits) : 0;
    const end = at + length;
    if (length === 0 || end > bytes.length || end <= space + 1 || bytes[end - 1] !== 0x0a) {
      throw invalid(position, 'a record of its PAX header is malformed');
    }
    const record = bytes.toString('latin1', space + 1, end - 1);
    const equals = record.indexOf('=');
    if (equals < 1) throw invalid(position, 'a record of its PAX header has no key');
    const key = record.slice(0, equals);
    const value = record.slice(equals + 1);
    if (value === '') records.delete(key);
    else records.set(key, value);
    at = end;
  }
  return records;
}

export function invalid(position: number, why: string): BuilderError {
  return new BuilderError('IMAGE_INVALID', `the tar entry at byte ${position} cannot be used: ${why}`, {
    remedy: 'export or build the image again',
  });
}

function checksum(block: Buffer): { unsigned: number; signed: number } {
  let unsigned = 0;
  let signed = 0;
  for (let at = 0; at < TAR_BLOCK; at += 1) {
    const inField = at >= CHECKSUM_AT && at < CHECKSUM_AT + CHECKSUM_LENGTH;
    const byte = inField ? 0x20 : (block[at] ?? 0);
    unsigned += byte;
    signed += byte < 128 ? byte : byte - 256;
  }
  return { unsigned, signed };
}

function text(block: Buffer, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.toString('latin1', 0, end === -1 ? length : end);
}

/** Octal text, or GNU's base-256 for what does not fit it. */
function number(block: Buffer, at: number, length: number, what: string, position: number): number {
  if (((block[at] ?? 0) & 0x80) !== 0) {
    let value = (block[at] ?? 0) & 0x7f;
    for (let index = at + 1; index < at + length; index += 1) value = value * 256 + (block[index] ?? 0);
    if ((block[at] ?? 0) === 0xff || !Number.isSafeInteger(value)) {
      throw invalid(position, `its ${what} is negative or too large`);
    }
    return value;
  }
  // By hand, since each header has eight of them
  const end = at + length;
  let start = at;
  while (start < end && isPadding(block[start])) start += 1;
  let value = 0;
  for (let index = start; index < end && !isPadding(block[index]); index += 1) {
    const digit = (block[index] ?? 0) - 0x30;
    if (digit < 0 || digit > 7) {
      const digits = block.toString('latin1', start, end).replace(/[ \0].*$/s, '');
      throw invalid(position, `its ${what} is ${JSON.stringify(digits)}, not an octal number`);
    }
    value = value * 8 + digit;
  }
  return value;
}

function isPadding(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0;
}
