import { type FileHandle, realpath, stat } from 'node:fs/promises';
import { Crc32 } from './crc32.ts';
import { EifError } from './errors.ts';
import {
  CRC_OFFSET,
  checkSectionSet,
  type EifSection,
  encodeHeader,
  encodeSectionHeader,
  HEADER_BYTES,
  SECTION_HEADER_BYTES,
} from './layout.ts';
import { MAX_SECTIONS } from './limits.ts';
import { writeAll, writeWhole } from './partial-file.ts';
import { type Eif, readEif } from './read-eif.ts';
import { type Signing, signatureSection } from './signature-section.ts';
import type { WrittenEif } from './write-eif.ts';

/**
 * Signs an EIF: adds a signature section at its end, or puts the new one in the place of the old one, whatever their
 * lengths and whether the old one verified. Every other section keeps its bytes, so PCR0, PCR1 and PCR2 stay as they are.
 *
 * The result is written beside its place, read again in full by `readEif`, and only then given its name: `output`, or the
 * image's own (through symbolic links). Memory is bounded. Throws what `readEif` and `signatureSection` throw.
 */
export async function signEif(
  path: string,
  { output, ...signing }: Signing & { output?: string },
): Promise<WrittenEif> {
  const eif = await readEif(path, { badSignature: 'report' });
  const signature = await signatureSection(Buffer.from(eif.measurements.PCR0, 'hex'), signing);
  const { mode } = await stat(path);
  return writeWhole(output ?? (await realpath(path)), mode & 0o777, async (file, partial) => {
    await writeSigned(file, eif, signature);
    return verified(partial, eif);
  });
}

async function writeSigned(file: FileHandle, eif: Eif, signature: Buffer): Promise<void> {
  const sections = withSignature(eif.sections, signature.length);
  const { arch, defaultMem, defaultCpus } = eif.header;
  const header = encodeHeader({ arch, defaultMem, defaultCpus, sections });
  const crc = new Crc32().update(header.subarray(0, CRC_OFFSET));
  let end = HEADER_BYTES;
  const append = async (bytes: Uint8Array): Promise<void> => {
    crc.update(bytes);
    await writeAll(file, bytes, end);
    end += bytes.length;
  };
  for (const [index, section] of sections.entries()) {
    await append(encodeSectionHeader(section.type, section.size));
    const original = eif.sections[index];
    if (section.type === 'signature' || original === undefined) await append(signature);
    else for await (const block of eif.data(original)) await append(block);
  }
  header.writeUInt32BE(crc.value, CRC_OFFSET);
  await writeAll(file, header, 0);
}

/** The sections as they will stand: a signature of that size where one is, else at the end, and offsets that fit. */
function withSignature(old: readonly EifSection[], size: number): EifSection[] {
  const isSigned = old.some(({ type }) => type === 'signature');
  const sections: Omit<EifSection, 'offset'>[] = isSigned ? [...old] : [...old, { type: 'signature', size }];
  checkSectionSet(sections.map(({ type }) => type));
  if (sections.length > MAX_SECTIONS) {
    throw new EifError(
      'EIF_SECTIONS',
      `with a signature the image has ${sections.length} sections; ${MAX_SECTIONS} fit`,
    );
  }
  let end = HEADER_BYTES;
  return sections.map(({ type, size: oldSize }) => {
    const section = { type, size: type === 'signature' ? size : oldSize, offset: end };
    end += SECTION_HEADER_BYTES + section.size;
    return section;
  });
}

async function verified(path: string, before: Eif): Promise<WrittenEif> {
  const { size, header, measurements } = await readEif(path);
  const { PCR0, PCR1, PCR2 } = before.measurements;
  if (measurements.PCR0 !== PCR0 || measurements.PCR1 !== PCR1 || measurements.PCR2 !== PCR2) {
    throw new EifError('EIF_CHANGED', 'the image has other measurements than before it was signed');
  }
  return { size, crc32: header.crc32, measurements };
}
