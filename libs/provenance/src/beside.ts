import { randomBytes } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import { signStatement } from './cosign.ts';
import { type EnclaveDocuments, statementsOf } from './documents.ts';

export interface BesideOptions {
  /** Path of the EIF. */
  eif: string;
  documents: EnclaveDocuments;
  /** As for `attach`; the statements are written as signed envelopes then. */
  signKey?: string;
  /** An existing folder for work files. */
  work: string;
  signal?: AbortSignal;
}

/**
 * Writes what would be attached to an image into files beside an EIF: PATH.pcrs.json, PATH.provenance.json, PATH.sbom.json, each
 * whole or not at all. The SBOM is signed as a statement of its own, PATH.sbom.att.json. Returns their paths. Throws as
 * `attach`, and the errors of the file system.
 */
export async function writeBeside({ eif, documents, signKey, work, signal }: BesideOptions): Promise<string[]> {
  const { pcrs, provenance, sbom } = statementsOf(documents);
  const options =
    signKey === undefined ? undefined : { key: signKey, work, ...(signal === undefined ? {} : { signal }) };
  const files: [string, object][] = [];
  for (const [name, value] of [
    ['pcrs', pcrs],
    ['provenance', provenance],
    ['sbom.att', options === undefined ? undefined : sbom],
  ] as const) {
    if (value === undefined) continue;
    files.push([`${eif}.${name}.json`, options === undefined ? value : await signStatement(value, options)]);
  }
  if (documents.sbom !== undefined) files.push([`${eif}.sbom.json`, documents.sbom]);
  for (const [path, value] of files) await writeWhole(path, `${JSON.stringify(value)}\n`);
  return files.map(([path]) => path).sort();
}

async function writeWhole(path: string, text: string): Promise<void> {
  const partial = `${path}.${randomBytes(6).toString('hex')}.partial`;
  try {
    await writeFile(partial, text, { flag: 'wx', mode: 0o644 });
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
