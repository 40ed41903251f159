import type { FileHandle } from 'node:fs/promises';
import { BlockPool } from './block-pool.ts';
import { type ByteSource, blocks } from './byte-source.ts';
import { Crc32 } from './crc32.ts';
import {
  type Arch,
  CRC_OFFSET,
  type EifSection,
  encodeHeader,
  encodeSectionHeader,
  HEADER_BYTES,
  SECTION_HEADER_BYTES,
  type SectionType,
} from './layout.ts';
import { writeAll } from './partial-file.ts';

/** Writes sections one after the other, leaves room for the file's header before them, and writes that last. */
export class SectionWriter {
  /** Where the next byte goes. */
  end = HEADER_BYTES;
  readonly #file: FileHandle;
  readonly #pool = new BlockPool();
  readonly #sections: EifSection[] = [];
  /** Of all sections. */
  readonly #crc = new Crc32();
  /** Ends, or fails, with what was last told to be written. */
  #writing: Promise<void> = Promise.resolve();

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Gives the section's size, which need not be known before. `onBlock` sees each block once it has its place, and may
   * use it until its promise resolves. */
  async append(
    type: SectionType,
    source: ByteSource,
    onBlock?: (block: Buffer) => Promise<void> | undefined,
  ): Promise<number> {
    const offset = this.end;
    const data = new Crc32();
    this.end += SECTION_HEADER_BYTES;
    for await (const block of blocks(source, this.#pool)) {
      this.#write(block, this.end);
      this.end += block.length;
      data.update(block);
      this.#pool.giveBack(block, [this.#writing, onBlock?.(block)]);
    }
    const header = encodeSectionHeader(type, data.length);
    this.#write(header, offset);
    this.#crc.update(header).append(data);
    this.#sections.push({ type, offset, size: data.length });
    return data.length;
  }

  /** Writes the header with its table and CRC; the file is then whole. Gives the CRC. */
  async finish(header: { arch: Arch; defaultMem: bigint; defaultCpus: bigint }): Promise<number> {
    const bytes = encodeHeader({ ...header, sections: this.#sections });
    const crc32 = new Crc32().update(bytes.subarray(0, CRC_OFFSET)).append(this.#crc).value;
    bytes.writeUInt32BE(crc32, CRC_OFFSET);
    this.#write(bytes, 0);
    await this.#writing;
    return crc32;
  }

  /** One after the other, while the caller goes on. */
  #write(bytes: Uint8Array, position: number): void {
    this.#writing = this.#writing.then(() => writeAll(this.#file, bytes, position));
    // Once one has failed all fail, and `finish` says so
    this.#writing.catch(() => undefined);
  }
}
