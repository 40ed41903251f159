import { createHash } from 'node:crypto';
import type { Eif } from '@enclaver/eif';
import { NAMESPACE_UUID } from '../uris.ts';
import { bomJson } from './bom.ts';
import { catalogue } from './catalogue.ts';
import { looseFiles } from './loose-files.ts';

/**
 * A CycloneDX 1.6 SBOM of the app's root file system in an EIF, from the EIF's own bytes: the packages that package
 * managers say are there, and by name and SHA-256 the files of none. The same EIF gives the same SBOM. Throws EifError.
 * @param eifSha256 of the file, 64 hexadecimal digits
 */
export async function sbomOf(eif: Eif, eifSha256: string): Promise<object> {
  const findings = await catalogue(eif);
  const loose = await looseFiles(eif, findings);
  return bomJson({ eifSha256, serialNumber: `urn:uuid:${uuidOf(eifSha256)}`, findings, loose });
}

/** A name-based UUID (RFC 9562, version 5). */
function uuidOf(name: string): string {
  const namespace = Buffer.from(NAMESPACE_UUID.replaceAll('-', ''), 'hex');
  const bytes = createHash('sha1').update(namespace).update(name, 'utf8').digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
