import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { imagePcr, readEif } from '@enclaver/eif';
import type { TarEntry } from '../../../test/images/tar.ts';
import { limits } from '../src/limits.ts';
import { Bench, readRamdisk } from './support.ts';

const EDGES = [limits.readAheadBytes, limits.readBytes, 3 * limits.readBytes];
const SIZES = [0, 1, ...EDGES.flatMap((edge) => [edge - 1, edge, edge + 1])];

/** Bytes that differ from file to file and from place to place. */
function content(name: string, size: number): Buffer {
  const block = createHash('sha512').update(name).digest();
  const bytes = Buffer.alloc(size, block);
  for (let at = 0; at < size; at += block.length) bytes.writeUInt8((at / block.length) % 256, at);
  return bytes;
}

describe('build: files around the sizes that are read at once', () => {
  const layer = (number: number): TarEntry[] =>
    SIZES.map((size) => ({ name: `${number}-${size}`, content: content(`${number}-${size}`, size) }));
  // One in the order of names, one against it, and one with gaps between what is read at once
  const layers = [layer(0), layer(1).reverse(), layer(2).filter((_, index) => index % 2 === 0)];

  it('packs every file as it is, from several layers', async () => {
    await using bench = await Bench.create();
    await bench.buildLayers(...layers);
    const files = new Map((await readRamdisk(bench.file('app.eif'))).map(({ path, data }) => [path, data]));
    for (const { name, content: expected } of layers.flat()) {
      const found = Buffer.from(files.get(`rootfs/${String(name)}`) ?? assert.fail(`no ${String(name)}`), 'latin1');
      assert.ok(found.equals(Buffer.from(expected ?? '')), `${String(name)} is another`);
    }
  });

  it('measures what stands in the file', async () => {
    await using bench = await Bench.create();
    const built = await bench.buildLayers(...layers);
    const bytes = await readFile(bench.file('app.eif'));
    const { sections } = await readEif(bench.file('app.eif'));
    const HEADER_BYTES = 12;
    const data = sections
      .filter(({ type }) => type !== 'metadata')
      .map(({ offset, size }) => bytes.subarray(offset + HEADER_BYTES, offset + HEADER_BYTES + size));
    assert.equal(built.measurements.PCR0, imagePcr(Buffer.concat(data)).toString('hex'));
    assert.equal(built.measurements.PCR1, imagePcr(Buffer.concat(data.slice(0, 3))).toString('hex'));
    assert.equal(built.measurements.PCR2, imagePcr(Buffer.concat(data.slice(3))).toString('hex'));
    assert.equal(built.eif.sha256, createHash('sha256').update(bytes).digest('hex'));
  });
});
