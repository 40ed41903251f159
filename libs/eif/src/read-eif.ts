import { EifError } from './errors.ts';
import type { Arch, EifHeader, EifSection } from './layout.ts';
import { decodeMetadata, type EifMetadata } from './metadata.ts';
import type { Measurements } from './pcr.ts';
import { type ScannedEif, scanEif } from './scan-eif.ts';
import { checkSignature, type EifSignature } from './signature.ts';

/** A file that was read to its end, found well-formed, and measured. */
export interface Eif {
  header: EifHeader;
  arch: Arch;
  /** In file order. */
  sections: readonly EifSection[];
  cmdline: string;
  metadata: EifMetadata;
  /** Present when the image is signed; it then verifies and is for this image. Its dates were not checked. */
  signature?: EifSignature;
  /** What is wrong with the signature; only after a read that was asked to report it. */
  signatureError?: EifError;
  /** Computed from the bytes of the file. */
  measurements: Measurements;
  /** Bytes of the whole file. */
  size: number;
  /**
   * The data of one section, or of a range of it. Throws EIF_CHANGED when the file is no longer the one that was
   * measured.
   */
  data: ScannedEif['data'];
  /** Writes the data of one section to a file, in bounded memory. Throws EIF_CHANGED. */
  copy: ScannedEif['copy'];
}

export interface ReadEifOptions {
  /**
   * A signature that does not verify: the file is refused (default), or read as if unsigned, with the error in
   * `signatureError`. For describing an image and for signing it anew, never for running it.
   */
  badSignature?: 'refuse' | 'report';
}

/**
 * Reads, checks and measures an EIF version 4 in one pass and bounded memory.
 *
 * Strict: the table in the header and the sections as they follow each other must say the same, nothing may follow the
 * last one, reserved fields are zero, the CRC is right, metadata has its form, a signature verifies. Throws EifError
 * with EIF_HEADER, EIF_TRUNCATED, EIF_SECTION, EIF_SECTIONS, EIF_CRC, EIF_METADATA or EIF_SIGNATURE, in this order of
 * checking; errors of the file system pass through as they are.
 */
export async function readEif(path: string, { badSignature = 'refuse' }: ReadEifOptions = {}): Promise<Eif> {
  const scan = await scanEif(path);
  checkCrc(scan);
  const { header, sections, kept, registers, size, data, copy } = scan;
  const cmdline = decodeCmdline(kept.get('cmdline') ?? Buffer.alloc(0));
  const metadata = decodeMetadata(kept.get('metadata') ?? Buffer.alloc(0));
  const { signature, signatureError } = readSignature(kept.get('signature'), registers.PCR0, badSignature);
  return {
    header,
    arch: header.arch,
    sections,
    cmdline,
    metadata,
    ...(signature === undefined ? {} : { signature }),
    ...(signatureError === undefined ? {} : { signatureError }),
    measurements: signature === undefined ? registers : { ...registers, PCR8: signature.PCR8 },
    size,
    data,
    copy,
  };
}

/** Refuses, with EIF_CRC, a file whose bytes are not those that the header's checksum was made of. */
export function checkCrc({ crc32, header }: ScannedEif): void {
  if (crc32 === header.crc32) return;
  throw new EifError('EIF_CRC', `the CRC is ${hex(crc32)}, the header says ${hex(header.crc32)}`, {
    remedy: 'the file was damaged or changed: build or fetch it again',
  });
}

function readSignature(
  raw: Buffer | undefined,
  pcr0: string,
  bad: 'refuse' | 'report',
): Pick<Eif, 'signature' | 'signatureError'> {
  if (raw === undefined) return {};
  try {
    return { signature: checkSignature(raw, pcr0) };
  } catch (error) {
    if (bad === 'report' && error instanceof EifError) return { signatureError: error };
    throw error;
  }
}

/** The command line as text. Throws EIF_SECTION. */
export function decodeCmdline(bytes: Buffer): string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new EifError('EIF_SECTION', 'the kernel command line is not UTF-8', { cause });
  }
  if (/[\0\r\n]/.test(text)) {
    throw new EifError('EIF_SECTION', 'the kernel command line holds a NUL or a line break; neither is allowed');
  }
  return text;
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}
