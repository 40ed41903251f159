import { diffEif, type EifDiff, formatDiff } from '@enclaver/eif';

/**
 * What differs between two builds' EIFs, as lines for people; none where nothing does. A signature is not compared: each has
 * a random number in it, and one that is made needs the key.
 */
export async function compareBuilds(first: string, second: string): Promise<string[]> {
  const diff = await diffEif(first, second);
  return diff.equal || sameButSignature(diff) ? [] : formatDiff(diff);
}

function sameButSignature({ sections }: EifDiff): boolean {
  const differing = sections.filter(({ equal }) => !equal);
  return differing.length === 1 && differing[0]?.name === 'signature';
}
