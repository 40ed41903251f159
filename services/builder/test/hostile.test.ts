import assert from 'node:assert/strict';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { dockerArchive, type ImageSpec, ociFiles, writeOciLayout } from '../../../test/images/image.ts';
import { type TarEntry, tar } from '../../../test/images/tar.ts';
import type { BuilderErrorCode } from '../src/builder-error.ts';
import { Bench, lines, manifest, readRamdisk, refusal } from './support.ts';

const config: ImageSpec['config'] = { Cmd: ['/app'] };

const refused: { what: string; layers: TarEntry[][]; code: BuilderErrorCode; text?: RegExp }[] = [
  { what: 'a name with ..', layers: [[{ name: '../out' }]], code: 'IMAGE_PATH_ESCAPE', text: /"\.\.\/out"/ },
  { what: '.. in the middle', layers: [[{ name: 'a/../../out' }]], code: 'IMAGE_PATH_ESCAPE' },
  { what: 'an absolute name with ..', layers: [[{ name: '/../out' }]], code: 'IMAGE_PATH_ESCAPE' },
  { what: '.. in a PAX name', layers: [[{ name: 'ok', pax: { path: 'a/../b' } }]], code: 'IMAGE_PATH_ESCAPE' },
  {
    what: 'a hard link to ..',
    layers: [[{ name: 'a', type: 'hard-link', link: '../etc/passwd' }]],
    code: 'IMAGE_PATH_ESCAPE',
  },
  {
    what: 'a whiteout of ..',
    layers: [[{ name: 'd/' }], [{ name: 'd/.wh...' }]],
    code: 'IMAGE_INVALID',
    text: /whiteout/,
  },
  { what: 'a whiteout of no name', layers: [[{ name: '.wh.' }]], code: 'IMAGE_INVALID', text: /whiteout/ },
  {
    what: 'a hard link to nothing',
    layers: [[{ name: 'a', type: 'hard-link', link: 'no' }]],
    code: 'IMAGE_INVALID',
    text: /"no"/,
  },
  { what: 'a hard link to itself', layers: [[{ name: 'a', type: 'hard-link', link: 'a' }]], code: 'IMAGE_INVALID' },
  {
    what: 'a hard link to a folder',
    layers: [[{ name: 'd/' }, { name: 'a', type: 'hard-link', link: 'd' }]],
    code: 'IMAGE_INVALID',
  },
  {
    what: 'a loop of symlinks as parent',
    layers: [[{ name: 'a', link: 'b' }, { name: 'b', link: 'a' }, { name: 'a/f' }]],
    code: 'IMAGE_INVALID',
    text: /40 symlinks/,
  },
  { what: 'a file as parent', layers: [[{ name: 'a' }, { name: 'a/f' }]], code: 'IMAGE_INVALID', text: /no folder/ },
  { what: 'a root that is a file', layers: [[{ name: './', type: 'fifo' }]], code: 'IMAGE_INVALID', text: /root/ },
  { what: 'a sparse file', layers: [[{ name: 's', type: 'sparse' }]], code: 'IMAGE_INVALID', text: /type is "S"/ },
  {
    what: 'a sparse file in PAX form',
    layers: [[{ name: 's', pax: { 'GNU.sparse.major': '1' } }]],
    code: 'IMAGE_INVALID',
    text: /sparse/,
  },
  {
    what: 'an owner that no file can have',
    layers: [[{ name: 'a', uid: 4294967295 }]],
    code: 'IMAGE_INVALID',
    text: /owner/,
  },
  {
    what: 'a symlink without target',
    layers: [[{ name: 'a', link: '' }]],
    code: 'IMAGE_INVALID',
    text: /target of 0 bytes/,
  },
  {
    what: 'a file of 4 GiB',
    layers: [[{ name: 'a', announce: 2 ** 32 }]],
    code: 'IMAGE_TOO_LARGE',
    text: /4294967296/,
  },
  { what: 'a size of 8 EiB', layers: [[{ name: 'a', pax: { size: '9223372036854775807' } }]], code: 'IMAGE_INVALID' },
  { what: 'a negative size in PAX', layers: [[{ name: 'a', pax: { size: '-1' } }]], code: 'IMAGE_INVALID' },
  { what: 'a NUL in a PAX name', layers: [[{ name: 'a', pax: { path: 'a\0b' } }]], code: 'IMAGE_INVALID', text: /NUL/ },
  {
    what: 'a path longer than Linux takes',
    layers: [[{ name: `${'d'.repeat(250)}/`.repeat(17) }]],
    code: 'IMAGE_INVALID',
    text: /path/,
  },
  {
    what: 'a path made long by symlinks',
    layers: [
      [{ name: `${'x/'.repeat(1500)}` }, { name: 's', link: 'x/'.repeat(1500) }, { name: `s/${'y/'.repeat(1500)}` }],
    ],
    code: 'IMAGE_INVALID',
    text: /path/,
  },
  {
    what: 'a PAX header of megabytes',
    layers: [[{ name: 'a', pax: { comment: 'c'.repeat(2 ** 20) } }]],
    code: 'IMAGE_INVALID',
    text: /extended header/,
  },
];

describe('hostile and damaged images', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.create();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  for (const { what, layers, code, text } of refused) {
    it(`refuses ${what}, and leaves nothing behind`, async () => {
      await bench.writeImage(...layers);
      await assert.rejects(bench.build(), refusal(code, text));
      assert.deepEqual(await bench.leavings(), []);
    });
  }

  it('writes nothing outside for names that engines take as below the root', async () => {
    await bench.buildLayers([
      { name: 'l', link: '/../../..' },
      { name: 'l/tmp2/f', content: 'x' },
    ]);
    assert.deepEqual(lines(await readRamdisk(bench.file('app.eif'))), [
      'l 120777 0:0 /../../..',
      'tmp2 40755 0:0',
      'tmp2/f 100644 0:0 x',
    ]);
  });

  const layer = tar([{ name: 'app', content: 'x'.repeat(5000) }]);

  /** Writes an OCI layout and changes the file of its only layer. */
  async function withLayer(
    change: (bytes: Buffer) => Buffer,
    compression: ImageSpec['compression'] = 'none',
  ): Promise<void> {
    const entries = [{ image: { layers: [layer], config, compression } }];
    await writeOciLayout(bench.file('image'), entries);
    const [path] = [...ociFiles(entries).entries()].find(([, bytes]) => !/^[{[]/.test(bytes.toString('latin1'))) ?? [
      '',
    ];
    const file = bench.file(`image/${path}`);
    await writeFile(file, change(await readFile(file)));
  }

  it('refuses a layer that is shorter than its manifest says', async () => {
    await withLayer((bytes) => bytes.subarray(0, 700));
    await assert.rejects(bench.build(), refusal('IMAGE_TRUNCATED', /700 bytes/));
    assert.deepEqual(await bench.leavings(), []);
  });

  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    it(`refuses a changed layer (${compression}) by its digest, wherever the change is`, async () => {
      for (const at of [0, 0.3, 0.6, 0.99]) {
        await withLayer((bytes) => {
          const index = Math.floor(at * bytes.length);
          bytes[index] = (bytes[index] ?? 0) ^ 0xff;
          return bytes;
        }, compression);
        await assert.rejects(bench.build(), refusal('IMAGE_DIGEST_MISMATCH'));
      }
      assert.deepEqual(await bench.leavings(), []);
    });
  }

  it('refuses a gzip layer that unpacks to other bytes than its diff_id names', async () => {
    const other = gzipSync(tar([{ name: 'app', content: 'evil' }]));
    await writeFile(bench.file('app.tar'), dockerArchive({ layers: [layer], config }, [], [other]));
    await assert.rejects(
      bench.build({ manifest: manifest('docker-archive:app.tar') }),
      refusal('IMAGE_DIGEST_MISMATCH', /unpacked/),
    );
  });

  it('refuses an archive that is cut off anywhere', async () => {
    const archive = dockerArchive({ layers: [layer], config });
    for (const length of [100, 700, 1500, 4000, 8000]) {
      await writeFile(bench.file('app.tar'), archive);
      await truncate(bench.file('app.tar'), length);
      await assert.rejects(bench.build({ manifest: manifest('docker-archive:app.tar') }), (error: { code?: string }) =>
        /^IMAGE_(TRUNCATED|INVALID)$/.test(error.code ?? ''),
      );
    }
    assert.deepEqual(await bench.leavings(), ['app.tar']);
  });

  it('stops at a layer that unpacks to more than the disk may take', async () => {
    // The real bound would take 256 GiB of zeros: a lower one shows the same
    const bomb = tar(Array.from({ length: 64 }, (_, n) => ({ name: `zeros-${n}`, content: Buffer.alloc(1 << 20) })));
    await writeOciLayout(bench.file('image'), [{ image: { layers: [bomb], config, compression: 'gzip' } }]);
    await assert.rejects(bench.build({ maxUnpackedBytes: 8 << 20 }), refusal('IMAGE_TOO_LARGE', /unpacked/));
    assert.deepEqual(await bench.leavings(), []);
  });

  it('takes 100,000 files, and as many opaque markers, in linear time', async () => {
    const files = Array.from({ length: 100_000 }, (_, n) => ({
      name: `d${n % 100}/f${n}`,
      content: n % 10 === 0 ? 'x' : '',
    }));
    const markers = Array.from({ length: 20_000 }, () => ({ name: '.wh..wh..opq' }));
    await bench.buildLayers(files, [
      { name: 'keep/' },
      ...markers,
      ...files.map(({ name }) => ({ name: `keep/${name}` })),
    ]);
    const entries = await readRamdisk(bench.file('app.eif'));
    assert.equal(entries.filter(({ mode }) => mode === '100644').length, 100_002);
  }).timeout(120_000);
});
