import { type BigIntStats, constants, createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { BlockPool } from './block-pool.ts';
import { Crc32 } from './crc32.ts';
import { EifError } from './errors.ts';
import {
  CRC_OFFSET,
  checkSectionSet,
  decodeHeader,
  decodeSectionHeader,
  type EifHeader,
  type EifSection,
  HEADER_BYTES,
  SECTION_HEADER_BYTES,
  type SectionType,
} from './layout.ts';
import { MAX_CMDLINE_BYTES, MAX_METADATA_BYTES, MAX_SIGNATURE_BYTES, READ_CHUNK_BYTES } from './limits.ts';
import { ImageMeasurer, type Measurements } from './pcr.ts';

/** A file that has the layout of an EIF, read to its end and measured; what its sections hold is not judged yet. */
export interface ScannedEif {
  header: EifHeader;
  /** In file order. */
  sections: readonly EifSection[];
  /** Computed from the bytes of the file; sound when it is that of the header. */
  crc32: number;
  /** Data of the small sections. The command line and the metadata are always there. */
  kept: ReadonlyMap<SectionType, Buffer>;
  registers: Measurements;
  /** Bytes of the whole file. */
  size: number;
  /**
   * The data of one section, or of the bytes from `start` up to `end` in it. Throws EIF_CHANGED when the file is no
   * longer the one that was measured.
   */
  data(section: EifSection, range?: ByteRange): AsyncIterable<Buffer>;
  /** Writes the data of one section where `to` stands, through one buffer. Throws EIF_CHANGED, as `data` does. */
  copy(section: EifSection, to: FileHandle): Promise<void>;
}

export interface ByteRange {
  start: number;
  /** The first byte that is not in it. */
  end: number;
}

/** Sections that are kept in memory while reading, and how large each may be. */
const KEPT: Partial<Record<SectionType, number>> = {
  cmdline: MAX_CMDLINE_BYTES,
  metadata: MAX_METADATA_BYTES,
  signature: MAX_SIGNATURE_BYTES,
};

/**
 * Reads and measures a file in one pass and bounded memory. The table in the header and the sections as they follow
 * each other must say the same, nothing may follow the last one, reserved fields are zero, and the set of sections is
 * whole. Throws EifError with EIF_HEADER, EIF_TRUNCATED, EIF_SECTION or EIF_SECTIONS; errors of the file system pass.
 */
export async function scanEif(path: string): Promise<ScannedEif> {
  // Without O_NONBLOCK the open of a named pipe waits for somebody who writes.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const identity = await file.stat({ bigint: true });
    if (!identity.isFile()) throw new EifError('EIF_HEADER', 'this is not a regular file');
    const size = Number(identity.size);
    const pool = new BlockPool();
    const reader = new SequentialReader(file, size, pool);

    const headerBytes = await reader.take(HEADER_BYTES, 'the header');
    const header = decodeHeader(headerBytes);
    const crc = new Crc32().update(headerBytes.subarray(0, CRC_OFFSET));

    await using measurer = new ImageMeasurer();
    const sections: EifSection[] = [];
    const kept = new Map<SectionType, Buffer>();
    for (const [index, entry] of header.table.entries()) {
      const section = await readSectionHeader(reader, entry, index, crc);
      sections.push(section);
      const parts: Buffer[] | undefined = KEPT[section.type] === undefined ? undefined : [];
      const measured = section.type === 'metadata' || section.type === 'signature' ? undefined : section.type;
      if (measured !== undefined) measurer.begin(measured);
      for await (const block of reader.blocks(section.size)) {
        crc.update(block);
        parts?.push(Buffer.from(block));
        pool.giveBack(block, [measured === undefined ? undefined : measurer.update(block)]);
      }
      if (parts !== undefined) kept.set(section.type, Buffer.concat(parts));
    }
    if (reader.position !== size) {
      throw new EifError('EIF_SECTION', `${size - reader.position} bytes follow the last section; none are allowed`);
    }
    checkSectionSet(sections.map(({ type }) => type));
    return {
      header,
      sections,
      crc32: crc.value,
      kept,
      registers: await measurer.finish(),
      size,
      data: (section, range = { start: 0, end: section.size }) => sectionData(path, identity, section, range),
      copy: (section, to) => copySection(path, identity, section, to),
    };
  } finally {
    await file.close();
  }
}

async function readSectionHeader(
  reader: SequentialReader,
  entry: { offset: bigint; size: bigint },
  index: number,
  crc: Crc32,
): Promise<EifSection> {
  const offset = reader.position;
  if (entry.offset !== BigInt(offset)) {
    throw new EifError(
      'EIF_SECTION',
      `section ${index} begins at ${offset}, the table in the header says ${entry.offset}`,
    );
  }
  const bytes = await reader.take(SECTION_HEADER_BYTES, `the header of section ${index}`);
  crc.update(bytes);
  const { type, size } = decodeSectionHeader(bytes, offset);
  if (size !== entry.size) {
    throw new EifError('EIF_SECTION', `section ${index} (${type}) has ${size} bytes, the table says ${entry.size}`);
  }
  const left = reader.size - reader.position;
  if (size > BigInt(left)) {
    throw new EifError('EIF_TRUNCATED', `section ${index} (${type}) has ${size} bytes, the file only ${left} more`);
  }
  const max = KEPT[type];
  if (max !== undefined && size > BigInt(max)) {
    throw new EifError('EIF_SECTION', `the ${type} section has ${size} bytes; at most ${max} are allowed`);
  }
  if (size === 0n && (type === 'kernel' || type === 'ramdisk')) {
    throw new EifError('EIF_SECTION', `section ${index} (${type}) is empty`);
  }
  return { type, offset, size: Number(size) };
}

/** Reads a file from its start into blocks of a pool; whoever gets one gives it back. */
class SequentialReader {
  position = 0;
  readonly size: number;
  readonly #file: FileHandle;
  readonly #pool: BlockPool;

  constructor(file: FileHandle, size: number, pool: BlockPool) {
    this.#file = file;
    this.size = size;
    this.#pool = pool;
  }

  async take(length: number, what: string): Promise<Buffer> {
    if (this.size - this.position < length) {
      throw new EifError('EIF_TRUNCATED', `the file ends at ${this.size}, within ${what}`);
    }
    const parts: Buffer[] = [];
    for await (const block of this.blocks(length)) {
      parts.push(Buffer.from(block));
      this.#pool.giveBack(block, []);
    }
    return Buffer.concat(parts);
  }

  async *blocks(length: number): AsyncGenerator<Buffer, void, void> {
    for (let left = length; left > 0; ) {
      const block = await this.#pool.take();
      const { bytesRead } = await this.#file.read(block, 0, Math.min(left, block.length), this.position);
      if (bytesRead === 0) throw new EifError('EIF_TRUNCATED', `the file became shorter than ${this.size} while read`);
      this.position += bytesRead;
      left -= bytesRead;
      yield block.subarray(0, bytesRead);
    }
  }
}

async function* sectionData(
  path: string,
  identity: BigIntStats,
  section: EifSection,
  range: ByteRange,
): AsyncGenerator<Buffer> {
  const file = await open(path, 'r');
  try {
    await checkUnchanged(file, path, identity);
    if (range.end > range.start) {
      const base = section.offset + SECTION_HEADER_BYTES;
      const options = { highWaterMark: READ_CHUNK_BYTES, autoClose: false };
      yield* createReadStream(path, { ...options, start: base + range.start, end: base + range.end - 1, fd: file });
    }
    await checkUnchanged(file, path, identity);
  } finally {
    await file.close();
  }
}

/** A stream would leave as much garbage as it moves, outside of V8's heap, where it may lie for hours. */
async function copySection(path: string, identity: BigIntStats, section: EifSection, to: FileHandle): Promise<void> {
  await using file = await open(path, 'r');
  await checkUnchanged(file, path, identity);
  const buffer = Buffer.allocUnsafeSlow(Math.min(READ_CHUNK_BYTES, section.size));
  const start = section.offset + SECTION_HEADER_BYTES;
  for (let done = 0; done < section.size; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, section.size - done), start + done);
    if (bytesRead === 0) break;
    await to.writeFile(buffer.subarray(0, bytesRead));
    done += bytesRead;
  }
  await checkUnchanged(file, path, identity);
}

async function checkUnchanged(file: FileHandle, path: string, then: BigIntStats): Promise<void> {
  const now = await file.stat({ bigint: true });
  if (now.dev !== then.dev || now.ino !== then.ino || now.size !== then.size || now.mtimeNs !== then.mtimeNs) {
    throw new EifError('EIF_CHANGED', `${path} was changed after it was measured`, { remedy: 'read the image again' });
  }
}
