import { collect } from './byte-source.ts';
import { compareBytes } from './compare-bytes.ts';
import type { EifDiff, EifSide, FieldDiff, PcrDiff, SectionDiff } from './diff.ts';
import { cmdlineFields, diffFields, headerFields, metadataFields, signatureFields } from './diff-fields.ts';
import { diffTrees } from './diff-tree.ts';
import { EifError } from './errors.ts';
import type { EifSection } from './layout.ts';
import { MAX_LISTED_DIFFERENCES, MAX_METADATA_BYTES } from './limits.ts';
import { parseMetadata } from './metadata.ts';
import type { Measurements } from './pcr.ts';
import { type Eif, readEif } from './read-eif.ts';
import { namedSections } from './section-names.ts';

/**
 * Compares two EIFs: header, sections, files of their ramdisks, and what they measure. Both must be sound: throws as
 * `readEif` does. Each file is read some times over, never held; see `diffTrees` for the memory of large ramdisks.
 */
export async function diffEif(a: string, b: string): Promise<EifDiff> {
  const [one, other] = [await read(a), await read(b)];
  const header = diffFields(headerFields(one), headerFields(other));
  const [inA, inB] = [namedSections(one.sections), namedSections(other.sections)];
  const sections: SectionDiff[] = [];
  for (const name of new Set([...inA.keys(), ...inB.keys()])) {
    sections.push(await diffSection(name, one, inA.get(name), other, inB.get(name)));
  }
  return {
    equal: header.length === 0 && sections.every(({ equal }) => equal),
    a: sideOf(a, one),
    b: sideOf(b, other),
    header,
    sections,
    pcrs: diffPcrs(one.measurements, other.measurements),
  };
}

async function diffSection(
  name: string,
  one: Eif,
  a: EifSection | undefined,
  other: Eif,
  b: EifSection | undefined,
): Promise<SectionDiff> {
  const bytes = await compareBytes(
    a === undefined ? Buffer.alloc(0) : one.data(a),
    b === undefined ? Buffer.alloc(0) : other.data(b),
  );
  const sides = { ...(a === undefined ? {} : { a: bytes.a }), ...(b === undefined ? {} : { b: bytes.b }) };
  if (a === undefined || b === undefined) return { name, equal: false, ...sides };
  if (bytes.firstDifference === undefined) return { name, equal: true, ...sides };
  const found: SectionDiff = { name, equal: false, ...sides, firstDifference: bytes.firstDifference };
  if (a.type === 'ramdisk') return { ...found, ...(await diffRamdisk(one, a, other, b)) };
  const fields = await fieldsOf(one, a, other, b);
  if (fields === undefined) return found;
  const more = fields.length - MAX_LISTED_DIFFERENCES;
  return { ...found, fields: fields.slice(0, MAX_LISTED_DIFFERENCES), ...(more > 0 ? { moreFields: more } : {}) };
}

/** A ramdisk that is no archive of files is still compared as bytes. */
async function diffRamdisk(
  one: Eif,
  a: EifSection,
  other: Eif,
  b: EifSection,
): Promise<Pick<SectionDiff, 'files' | 'filesError'>> {
  try {
    return { files: await diffTrees({ image: one, section: a }, { image: other, section: b }) };
  } catch (error) {
    if (!(error instanceof EifError) || error.code === 'EIF_CHANGED') throw error;
    return { filesError: { code: error.code, message: error.message } };
  }
}

async function fieldsOf(one: Eif, a: EifSection, other: Eif, b: EifSection): Promise<FieldDiff[] | undefined> {
  switch (a.type) {
    case 'cmdline':
      return diffFields(cmdlineFields(one.cmdline), cmdlineFields(other.cmdline));
    case 'metadata':
      return diffFields(metadataFields(await metadataOf(one, a)), metadataFields(await metadataOf(other, b)));
    case 'signature':
      return diffFields(signatureFields(one), signatureFields(other));
    default:
      return undefined;
  }
}

/** With the keys that we do not know. */
async function metadataOf(eif: Eif, section: EifSection): Promise<unknown> {
  const tooLarge = () => new EifError('EIF_METADATA', `metadata has more than ${MAX_METADATA_BYTES} bytes`);
  return parseMetadata(await collect(eif.data(section), MAX_METADATA_BYTES, tooLarge));
}

/** Says which of the two files it is that cannot be read. */
async function read(path: string): Promise<Eif> {
  try {
    return await readEif(path);
  } catch (cause) {
    if (!(cause instanceof EifError)) throw cause;
    const remedy = cause.remedy === undefined ? {} : { remedy: cause.remedy };
    throw new EifError(cause.code, `${path}: ${cause.message}`, { ...remedy, cause });
  }
}

function sideOf(path: string, { size, measurements }: Eif): EifSide {
  return { path, size, measurements };
}

function diffPcrs(a: Measurements, b: Measurements): PcrDiff[] {
  return (['PCR0', 'PCR1', 'PCR2', 'PCR8'] as const).flatMap((register) => {
    const [one, other] = [a[register], b[register]];
    if (one === undefined && other === undefined) return [];
    return [
      {
        register,
        equal: one === other,
        ...(one === undefined ? {} : { a: one }),
        ...(other === undefined ? {} : { b: other }),
      },
    ];
  });
}
