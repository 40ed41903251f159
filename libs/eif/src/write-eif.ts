import type { FileHandle } from 'node:fs/promises';
import type { ByteSource } from './byte-source.ts';
import { EifError } from './errors.ts';
import { type Arch, checkSectionSet, type SectionType } from './layout.ts';
import { MAX_CMDLINE_BYTES, MAX_SECTIONS } from './limits.ts';
import { type EifMetadata, encodeMetadata } from './metadata.ts';
import { writeWhole } from './partial-file.ts';
import { ImageMeasurer, type Measurements } from './pcr.ts';
import { SectionWriter } from './section-writer.ts';
import { checkSignature } from './signature.ts';

export interface EifContents {
  arch: Arch;
  kernel: ByteSource;
  /** Measured kernel command line: no line break, no NUL. */
  cmdline: string;
  /** First the runtime (measured in PCR1), then the application (PCR2). newc archives, plain or compressed. */
  ramdisks: readonly ByteSource[];
  metadata: EifMetadata;
  /** Makes the data of the signature section for the image with this PCR0. Asked last, when the image is measured. */
  sign?: (pcr0: Buffer) => Promise<Uint8Array>;
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
  const types = [...plan.map(([type]) => type), ...(contents.sign === undefined ? [] : ['signature' as const])];
  checkSectionSet(types);
  if (types.length > MAX_SECTIONS) {
    throw new EifError('EIF_SECTIONS', `the image would have ${types.length} sections; at most ${MAX_SECTIONS} fit`);
  }
  return writeWhole(path, 0o644, (file) => writeTo(file, contents, plan));
}

async function writeTo(
  file: FileHandle,
  contents: EifContents,
  plan: readonly [SectionType, ByteSource][],
): Promise<WrittenEif> {
  const { arch, defaultMem = NITRO_CLI_DEFAULT_MEM, defaultCpus = NITRO_CLI_DEFAULT_CPUS, sign, onProgress } = contents;
  await using measurer = new ImageMeasurer();
  const writer = new SectionWriter(file);
  for (const [type, source] of plan) {
    const measured = type === 'kernel' || type === 'cmdline' || type === 'ramdisk';
    if (measured) measurer.begin(type);
    const size = await writer.append(type, source, (block) => {
      onProgress?.({ section: type, bytesWritten: writer.end });
      return measured ? measurer.update(block) : undefined;
    });
    checkSectionSize(type, size);
  }

  let measurements: Measurements = await measurer.finish();
  if (sign !== undefined) {
    const signature = await sign(Buffer.from(measurements.PCR0, 'hex'));
    const { PCR8 } = checkSignature(signature, measurements.PCR0);
    measurements = { ...measurements, PCR8 };
    await writer.append('signature', signature);
    onProgress?.({ section: 'signature', bytesWritten: writer.end });
  }

  const crc32 = await writer.finish({ arch, defaultMem, defaultCpus });
  return { size: writer.end, crc32, measurements };
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
