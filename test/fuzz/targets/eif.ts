import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { EifError, inspectEif, readEif } from '@enclaver/eif';
import { readOrRefuseLater } from '../target.ts';

const vectors = join(import.meta.dirname, '../../../libs/eif/test/vectors');
const imagesOf = (file: string): Buffer[] => {
  const { cases } = JSON.parse(readFileSync(join(vectors, file), 'utf8')) as { cases: { eif_b64?: string }[] };
  return cases.flatMap(({ eif_b64 }) => (eif_b64 === undefined ? [] : [Buffer.from(eif_b64, 'base64')]));
};

export const seeds = [...imagesOf('eif-valid.json'), ...imagesOf('eif-invalid.json')];

const CRC = 544;
const folder = mkdtempSync(join(tmpdir(), 'fuzz-eif-'));
process.once('exit', () => rmSync(folder, { recursive: true }));
const path = join(folder, 'image.eif');

/** An enclave image, with the checksum set right, since no mutation would hit it: refused, or inside of its own bytes. */
export async function fuzz(input: Buffer): Promise<void> {
  const image = Buffer.from(input);
  if (image.length >= CRC + 4) image.writeUInt32BE(crc32(image.subarray(CRC + 4), crc32(image.subarray(0, CRC))), CRC);
  writeFileSync(path, image);
  const eif = await readOrRefuseLater(() => readEif(path, { badSignature: 'report' }), EifError);
  if (eif !== undefined) {
    assert.equal(eif.size, image.length);
    for (const { offset, size } of eif.sections) assert.ok(offset + 12 + size <= image.length);
    assert.deepEqual((await readEif(path, { badSignature: 'report' })).measurements, eif.measurements);
  }
  await readOrRefuseLater(() => inspectEif(path), EifError);
}
