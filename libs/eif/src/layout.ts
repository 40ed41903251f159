import { EifError } from './errors.ts';
import { MAX_SECTIONS } from './limits.ts';

/** The layout of an EIF file, version 4: every integer big-endian, sections without padding after a fixed header. */

export type Arch = 'x86_64' | 'aarch64';
export type SectionType = 'kernel' | 'cmdline' | 'ramdisk' | 'signature' | 'metadata';

export const HEADER_BYTES = 548;
export const SECTION_HEADER_BYTES = 12;
/** The CRC covers the file without its own field, which is the header's last four bytes. */
export const CRC_OFFSET = 544;

export const EIF_VERSION = 4;
const MAGIC = Buffer.from('.eif', 'ascii');
const SECTION_TYPES: readonly (SectionType | undefined)[] = [
  undefined,
  'kernel',
  'cmdline',
  'ramdisk',
  'signature',
  'metadata',
];

export interface EifHeader {
  version: number;
  flags: number;
  arch: Arch;
  defaultMem: bigint;
  defaultCpus: bigint;
  crc32: number;
  /** The table as it stands: offset of the section's header, size of its data. */
  table: readonly { offset: bigint; size: bigint }[];
}

/** Where a section is. `offset` counts from the start of the file to the section's 12-byte header. */
export interface EifSection {
  type: SectionType;
  offset: number;
  /** Bytes of data, which begin 12 bytes after `offset`. */
  size: number;
}

export function encodeHeader(header: {
  arch: Arch;
  defaultMem: bigint;
  defaultCpus: bigint;
  sections: readonly EifSection[];
}): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt16BE(EIF_VERSION, 4);
  bytes.writeUInt16BE(header.arch === 'aarch64' ? 1 : 0, 6);
  bytes.writeBigUInt64BE(header.defaultMem, 8);
  bytes.writeBigUInt64BE(header.defaultCpus, 16);
  bytes.writeUInt16BE(header.sections.length, 26);
  header.sections.forEach((section, index) => {
    bytes.writeBigUInt64BE(BigInt(section.offset), 28 + 8 * index);
    bytes.writeBigUInt64BE(BigInt(section.size), 284 + 8 * index);
  });
  return bytes;
}

/** Refuses, with EIF_HEADER, every header that is not exactly of the documented form. */
export function decodeHeader(bytes: Buffer): EifHeader {
  if (!bytes.subarray(0, 4).equals(MAGIC)) {
    throw refuse(`the file begins with ${bytes.subarray(0, 4).toString('hex')}, an EIF begins with 2e656966 (".eif")`);
  }
  const version = bytes.readUInt16BE(4);
  if (version !== EIF_VERSION) throw refuse(`EIF version ${version}; only version ${EIF_VERSION} is allowed`);
  const flags = bytes.readUInt16BE(6);
  if (flags > 1) throw refuse(`header flags 0x${flags.toString(16)}; only bit 0 (architecture) is allowed`);
  if (bytes.readUInt16BE(24) !== 0) throw refuse('the reserved field at 0x018 is not zero');
  const count = bytes.readUInt16BE(26);
  if (count < 1 || count > MAX_SECTIONS) throw refuse(`${count} sections; allowed are 1 to ${MAX_SECTIONS}`);
  if (bytes.readUInt32BE(540) !== 0) throw refuse('the unused field at 0x21c is not zero');
  const table = Array.from({ length: MAX_SECTIONS }, (_, index) => ({
    offset: bytes.readBigUInt64BE(28 + 8 * index),
    size: bytes.readBigUInt64BE(284 + 8 * index),
  }));
  if (table.slice(count).some(({ offset, size }) => offset !== 0n || size !== 0n)) {
    throw refuse(`the header counts ${count} sections but its table holds more`);
  }
  return {
    version,
    flags,
    arch: flags === 1 ? 'aarch64' : 'x86_64',
    defaultMem: bytes.readBigUInt64BE(8),
    defaultCpus: bytes.readBigUInt64BE(16),
    crc32: bytes.readUInt32BE(CRC_OFFSET),
    table: table.slice(0, count),
  };
}

export function encodeSectionHeader(type: SectionType, size: number): Buffer {
  const bytes = Buffer.alloc(SECTION_HEADER_BYTES);
  bytes.writeUInt16BE(SECTION_TYPES.indexOf(type), 0);
  bytes.writeBigUInt64BE(BigInt(size), 4);
  return bytes;
}

/** Refuses, with EIF_SECTION, unknown types and flags. `offset` is for the message. */
export function decodeSectionHeader(bytes: Buffer, offset: number): { type: SectionType; size: bigint } {
  const number = bytes.readUInt16BE(0);
  const type = SECTION_TYPES[number];
  if (type === undefined) {
    throw new EifError('EIF_SECTION', `section at ${offset} has type ${number}; allowed are 1 to 5`);
  }
  const flags = bytes.readUInt16BE(2);
  if (flags !== 0) {
    throw new EifError('EIF_SECTION', `${type} section at ${offset} has flags 0x${flags.toString(16)}; must be 0`);
  }
  return { type, size: bytes.readBigUInt64BE(4) };
}

/** The rules on which sections an image holds, and in which order. Throws EIF_SECTIONS. */
export function checkSectionSet(types: readonly SectionType[]): void {
  const count = (wanted: SectionType): number => types.filter((type) => type === wanted).length;
  for (const single of ['kernel', 'cmdline', 'metadata'] as const) {
    if (count(single) !== 1) {
      throw new EifError('EIF_SECTIONS', `the image has ${count(single)} ${single} sections; it must have exactly one`);
    }
  }
  if (count('ramdisk') === 0) throw new EifError('EIF_SECTIONS', 'the image has no ramdisk section; it must have one');
  if (count('signature') > 1) {
    throw new EifError(
      'EIF_SECTIONS',
      `the image has ${count('signature')} signature sections; at most one is allowed`,
    );
  }
  if (types.indexOf('ramdisk') < types.indexOf('kernel')) {
    throw new EifError('EIF_SECTIONS', 'a ramdisk stands before the kernel; every ramdisk must follow it');
  }
}

function refuse(message: string): EifError {
  return new EifError('EIF_HEADER', message, { remedy: 'check that the file is a complete EIF version 4 image' });
}
