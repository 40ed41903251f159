import { type FileHandle, realpath, stat } from 'node:fs/promises';
import { EifError } from './errors.ts';
import { MAX_SECTIONS } from './limits.ts';
import { writeWhole } from './partial-file.ts';
import { type Eif, readEif } from './read-eif.ts';
import { SectionWriter } from './section-writer.ts';
import { type Signing, signatureSection } from './signature-section.ts';
import type { WrittenEif } from './write-eif.ts';

/**
 * Signs an EIF: adds a signature section at its end, or puts the new one in the place of the old one, whatever their
 * lengths and whether the old one verified. Every other section keeps its bytes, so PCR0, PCR1 and PCR2 stay as they are.
 *
 * The result is written beside its place, read again in full by `readEif`, and only then given its name: `output`, or the
 * image's own (through symbolic links). Memory is bounded. Throws what `readEif` and `signatureSection` throw, and the
 * signal's reason once it is aborted; there is then no new file.
 */
export async function signEif(
  path: string,
  { output, signal, ...signing }: Signing & { output?: string; signal?: AbortSignal },
): Promise<WrittenEif> {
  const eif = await readEif(path, { badSignature: 'report' });
  if (!isSigned(eif) && eif.sections.length === MAX_SECTIONS) {
    throw new EifError('EIF_SECTIONS', `the image has ${MAX_SECTIONS} sections; there is no place for a signature`);
  }
  const signature = await signatureSection(Buffer.from(eif.measurements.PCR0, 'hex'), signing);
  const { mode } = await stat(path);
  return writeWhole(output ?? (await realpath(path)), mode & 0o777, async (file, partial) => {
    await writeSigned(file, eif, signature, signal);
    const written = await verified(partial, eif);
    signal?.throwIfAborted();
    return written;
  });
}

/** Every section as it is, but for the signature, which stands where the old one is, else at the end. */
async function writeSigned(
  file: FileHandle,
  eif: Eif,
  signature: Buffer,
  signal: AbortSignal | undefined,
): Promise<void> {
  const writer = new SectionWriter(file);
  for (const section of eif.sections) {
    await writer.append(
      section.type,
      section.type === 'signature' ? signature : untilAborted(eif.data(section), signal),
    );
  }
  if (!isSigned(eif)) await writer.append('signature', signature);
  await writer.finish(eif.header);
}

async function* untilAborted(source: AsyncIterable<Buffer>, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  for await (const piece of source) {
    signal?.throwIfAborted();
    yield piece;
  }
}

function isSigned({ sections }: Eif): boolean {
  return sections.some(({ type }) => type === 'signature');
}

async function verified(path: string, before: Eif): Promise<WrittenEif> {
  const { size, header, measurements } = await readEif(path);
  const { PCR0, PCR1, PCR2 } = before.measurements;
  if (measurements.PCR0 !== PCR0 || measurements.PCR1 !== PCR1 || measurements.PCR2 !== PCR2) {
    throw new EifError('EIF_CHANGED', 'the image has other measurements than before it was signed');
  }
  return { size, crc32: header.crc32, measurements };
}
