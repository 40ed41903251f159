import { createHash } from 'node:crypto';
import { type Eif, showName } from '@enclaver/eif';
import { sbomLimits } from '../limits.ts';
import { rootFiles } from './catalogue.ts';
import type { Findings } from './findings.ts';

/** Files that no package claims. */
export interface LooseFiles {
  /** All files. */
  files: number;
  /** Those of no package. */
  without: number;
  /** The first of them. */
  listed: { path: string; sha256: string }[];
}

/** Finds and hashes the files that no package claims. Throws EifError. */
export async function looseFiles(eif: Eif, findings: Findings): Promise<LooseFiles> {
  const found: LooseFiles = { files: 0, without: 0, listed: [] };
  for await (const { path, file } of rootFiles(eif)) {
    found.files += 1;
    if (findings.isOwned(path)) continue;
    found.without += 1;
    if (found.listed.length === sbomLimits.looseFiles) continue;
    const hash = createHash('sha256');
    for await (const piece of file.data) hash.update(piece);
    found.listed.push({ path: showName(Buffer.from(path, 'latin1')), sha256: hash.digest('hex') });
  }
  return found;
}
