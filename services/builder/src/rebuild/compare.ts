import { diffEif, type EifDiff, type FieldDiff, formatDiff } from '@enclaver/eif';

/**
 * What differs between two builds' EIFs, as lines for people; none where nothing does. A signature is not compared: each has
 * a random number in it, and one that is made needs the key.
 */
export async function compareBuilds(first: string, second: string): Promise<string[]> {
  const diff = await diffEif(first, second);
  return diff.equal || sameButSignature(diff) ? [] : formatDiff(diff);
}

/** Sections are compared by name and measured in their order: equal ones alone do not say that two files measure the same. */
function sameButSignature({ header, sections, pcrs }: EifDiff): boolean {
  return (
    sections.every(({ name, equal }) => equal || name === 'signature') &&
    pcrs.every(({ register, equal }) => equal || register === 'PCR8') &&
    header.every(followsFromSignature)
  );
}

function followsFromSignature({ field, a = '', b = '' }: FieldDiff): boolean {
  const unsigned = (names: string): string => names.replace(/ signature$/, '');
  return field === 'crc32' || (field === 'sections' && unsigned(a) === unsigned(b));
}
