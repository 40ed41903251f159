import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type ByteSource, blocks } from './byte-source.ts';
import { Crc32 } from './crc32.ts';
import { EifError } from './errors.ts';
import {
  type Arch,
  CRC_OFFSET,
  checkSectionSet,
  type EifSection,
  encodeHeader,
  encodeSectionHeader,
  HEADER_BYTES,
  SECTION_HEADER_BYTES,
  type SectionType,
} from './layout.ts';
import { MAX_CMDLINE_BYTES, MAX_SECTIONS } from './limits.ts';
import { type EifMetadata, encodeMetadata } from './metadata.ts';
import { ImageMeasurer, type Measurements } from './pcr.ts';
import { checkSignature } from './signature.ts';

export interface EifContents {
  arch: Arch;
  kernel: ByteSource;
  /** Measured kernel command line: no line break, no NUL. */
  cmdline: string;
  /** First the runtime (measured in PCR1), then the application (PCR2). newc archives, plain or compressed. */
  ramdisks: readonly ByteSource[];
  metadata: EifMetadata;
  /** The bytes of a signature section that was made for this very image. */
  signature?: Uint8Array;
  /** Bytes. Default 1 GiB: the value that nitro-cli writes and nothing reads. */
  defaultMem?: bigint;
  /** Default 2, likewise. */
  defaultCpus?: bigint;
  /** Called after each block, with the bytes of the file written so far. */
  onProgress?: (progress: { section: SectionType; bytesWritten: number }) => void;
}

export interface WrittenEif {
  /** Bytes of the whole file. */
  size: number;
  crc32: number;
  measurements: Measurements;
}

const NITRO_CLI_DEFAULT_MEM = 0x4000_0000n;
const NITRO_CLI_DEFAULT_CPUS = 2n;

/**
 * Writes an EIF version 4 in one pass and bounded memory: kernel, command line, metadata, ramdisks, signature.
 *
 * The same contents always give the same bytes. The file is written beside `path` under another name and renamed
 * when it is complete, so `path` holds either what it held before or the whole image; a signature that does not fit
 * the image is refused before that. Errors of the sources and of the file system pass through as they are.
 */
export async function writeEif(path: string, contents: EifContents): Promise<WrittenEif> {
  const cmdline = encodeCmdline(contents.cmdline);
  const metadata = encodeMetadata(contents.metadata);
  const plan: [SectionType, ByteSource][] = [
    ['kernel', contents.kernel],
    ['cmdline', cmdline],
    ['metadata', metadata],
    ...contents.ramdisks.map((ramdisk): [SectionType, ByteSource] => ['ramdisk', ramdisk]),
  ];
  if (contents.signature !== undefined) plan.push(['signature', contents.signature]);
  checkSectionSet(plan.map(([type]) => type));
  if (plan.length > MAX_SECTIONS) {
    throw new EifError('EIF_SECTIONS', `the image would have ${plan.length} sections; at most ${MAX_SECTIONS} fit`);
  }

  const partial = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.partial`);
  const file = await open(partial, 'wx', 0o644);
  try {
    let written: WrittenEif;
    try {
      written = await writeTo(file, contents, plan);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
    return written;
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function writeTo(
  file: FileHandle,
  contents: EifContents,
  plan: readonly [SectionType, ByteSource][],
): Promise<WrittenEif> {
  const measurer = new ImageMeasurer();
  const body = new Crc32();
  const sections: EifSection[] = [];
  let end = HEADER_BYTES;
  for (const [type, source] of plan) {
    const offset = end;
    const dataCrc = new Crc32();
    if (type !== 'metadata' && type !== 'signature') measurer.begin(type);
    end += SECTION_HEADER_BYTES;
    for await (const block of blocks(source)) {
      const writing = writeAll(file, block, end);
      if (type !== 'metadata' && type !== 'signature') measurer.update(block);
      dataCrc.update(block);
      await writing;
      end += block.length;
      contents.onProgress?.({ section: type, bytesWritten: end });
    }
    checkSectionSize(type, dataCrc.length);
    const header = encodeSectionHeader(type, dataCrc.length);
    await writeAll(file, header, offset);
    body.update(header).append(dataCrc);
    sections.push({ type, offset, size: dataCrc.length });
  }

  const registers = measurer.finish();
  const measurements: Measurements =
    contents.signature === undefined
      ? registers
      : { ...registers, PCR8: checkSignature(contents.signature, registers.PCR0).PCR8 };

  const header = encodeHeader({
    arch: contents.arch,
    defaultMem: contents.defaultMem ?? NITRO_CLI_DEFAULT_MEM,
    defaultCpus: contents.defaultCpus ?? NITRO_CLI_DEFAULT_CPUS,
    sections,
  });
  const crc32 = new Crc32().update(header.subarray(0, CRC_OFFSET)).append(body).value;
  header.writeUInt32BE(crc32, CRC_OFFSET);
  await writeAll(file, header, 0);
  return { size: end, crc32, measurements };
}

/** One write call may take less than it was given. */
async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

function encodeCmdline(cmdline: string): Buffer {
  const bytes = Buffer.from(cmdline, 'utf8');
  if (/[\0\r\n]/.test(cmdline)) {
    throw new EifError('EIF_SECTION', 'the kernel command line holds a NUL or a line break; neither is allowed');
  }
  if (bytes.length > MAX_CMDLINE_BYTES) {
    throw new EifError(
      'EIF_SECTION',
      `the kernel command line has ${bytes.length} bytes; at most ${MAX_CMDLINE_BYTES} are allowed`,
    );
  }
  return bytes;
}

function checkSectionSize(type: SectionType, size: number): void {
  if ((type === 'kernel' || type === 'ramdisk') && size === 0) {
    throw new EifError('EIF_SECTION', `the ${type} is empty`);
  }
  // Linux looks for the next archive at multiples of four from the start of all ramdisks joined.
  if (type === 'ramdisk' && size % 4 !== 0) {
    throw new EifError('EIF_SECTION', `a ramdisk has ${size} bytes; its length must be a multiple of 4`, {
      remedy: 'pad the ramdisk with zero bytes',
    });
  }
}
