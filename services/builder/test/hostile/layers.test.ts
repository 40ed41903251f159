import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { digestOf, dockerArchive, ociFiles, writeOciLayout } from '../../../../test/images/image.ts';
import { type TarEntry, tar } from '../../../../test/images/tar.ts';
import type { BuilderErrorCode } from '../../src/builder-error.ts';
import { Bench, lines, manifest, readRamdisk, refusal } from '../support.ts';

const MIB = 1 << 20;
const config = { Cmd: ['/app'] };
const plain = tar([{ name: 'app', content: 'x'.repeat(5000) }]);

const trees: { what: string; layers: TarEntry[][]; tree: string[] }[] = [
  {
    what: 'a whiteout of a folder and of what is in it, in one layer, in either order',
    layers: [
      [{ name: 'a/b/f' }, { name: 'c/d/f' }, { name: 'k' }],
      [{ name: 'a/b/.wh.f' }, { name: '.wh.a' }, { name: '.wh.c' }, { name: 'c/d/.wh.f' }],
    ],
    tree: ['k 100644 0:0'],
  },
  {
    what: 'a whiteout, then another type of the same name',
    layers: [
      [{ name: 'f' }, { name: 'd/in' }, { name: 'l', link: 'd' }],
      [{ name: '.wh.f' }, { name: '.wh.d' }, { name: '.wh.l' }],
      [{ name: 'f', link: 'd' }, { name: 'd', type: 'fifo' }, { name: 'l/new' }],
    ],
    tree: ['d 10644 0:0', 'f 120777 0:0 d', 'l 40755 0:0', 'l/new 100644 0:0'],
  },
  {
    what: 'a whiteout of a symlink, which leaves what it leads to',
    layers: [[{ name: 'd/f' }, { name: 'l', link: 'd' }], [{ name: '.wh.l' }]],
    tree: ['d 40755 0:0', 'd/f 100644 0:0'],
  },
  {
    what: 'an opaque marker in a symlinked folder, which empties where it leads',
    layers: [
      [{ name: 'd/f' }, { name: 'l', link: '/d' }],
      [{ name: 'l/.wh..wh..opq' }, { name: 'l/n' }],
    ],
    tree: ['d 40755 0:0', 'd/n 100644 0:0', 'l 120777 0:0 /d'],
  },
  {
    what: 'a file under a name that an earlier layer made a symlink out of the root',
    layers: [[{ name: 'tmp2', link: '/../../../../tmp' }], [{ name: 'tmp2/pwned', content: 'in' }]],
    tree: ['tmp2 120777 0:0 /../../../../tmp', 'tmp/pwned 100644 0:0 in'].toSorted(),
  },
  {
    what: 'a symlink replaced by a folder between two layers that write below it',
    layers: [
      [{ name: 'd/' }, { name: 'l', link: 'd' }, { name: 'l/1' }],
      [{ name: 'l/' }, { name: 'l/2' }],
      [{ name: 'l', link: '/d' }, { name: 'l/3' }],
    ],
    tree: ['d 40755 0:0', 'd/1 100644 0:0', 'd/3 100644 0:0', 'l 120777 0:0 /d'],
  },
  {
    what: 'a chain of hard links, and one through a symlinked folder',
    layers: [
      [
        { name: 'd/a', content: 'x', mode: 0o4755 },
        { name: 'l', link: 'd' },
        { name: 'b', type: 'hard-link', link: 'l/a' },
        { name: 'c', type: 'hard-link', link: 'b' },
      ],
    ],
    tree: ['b 104755 0:0 x', 'c 104755 0:0', 'd 40755 0:0', 'd/a 104755 0:0', 'l 120777 0:0 d'],
  },
  {
    what: 'a name that only looks like a whiteout further up',
    layers: [[{ name: '.wh.x/f' }, { name: 'x' }]],
    tree: ['.wh.x 40755 0:0', '.wh.x/f 100644 0:0', 'x 100644 0:0'],
  },
  {
    what: 'the name that ends a cpio archive',
    layers: [[{ name: 'TRAILER!!!', content: 'x' }, { name: 'z' }]],
    tree: ['TRAILER!!! 100644 0:0 x', 'z 100644 0:0'],
  },
];

const refused: { what: string; layers: TarEntry[][]; code?: BuilderErrorCode; text: RegExp }[] = [
  {
    what: 'a hard link to a later entry',
    layers: [[{ name: 'a', type: 'hard-link', link: 'b' }, { name: 'b' }]],
    text: /hard link to "b", which is not there/,
  },
  {
    what: 'a hard link to a file that a layer below hides',
    layers: [[{ name: 'b' }], [{ name: '.wh.b' }], [{ name: 'a', type: 'hard-link', link: 'b' }]],
    text: /hard link to "b", which is not there/,
  },
  {
    what: 'a symlink to itself as a parent, across layers',
    layers: [[{ name: 'l', link: 'l' }], [{ name: 'l/f' }]],
    text: /40 symlinks/,
  },
  {
    what: 'an absolute loop as a parent, across layers',
    layers: [[{ name: 'a', link: '/b/x' }], [{ name: 'b', link: '/a/x' }], [{ name: 'a/f' }]],
    text: /40 symlinks/,
  },
  {
    what: 'a whiteout in a loop',
    layers: [[{ name: 'l', link: 'l' }], [{ name: 'l/.wh.f' }]],
    text: /40 symlinks/,
  },
  {
    what: 'a hard link through a loop',
    layers: [
      [
        { name: 'l', link: 'l' },
        { name: 'h', type: 'hard-link', link: 'l/f' },
      ],
    ],
    text: /40 symlinks/,
  },
  {
    what: 'a file below a device',
    layers: [[{ name: 'n', type: 'char-device', major: 1, minor: 3 }, { name: 'n/f' }]],
    text: /"n" is no folder/,
  },
  {
    what: 'a whiteout with .. before it',
    layers: [[{ name: 'a/../.wh.b' }]],
    code: 'IMAGE_PATH_ESCAPE',
    text: /with "\.\."/,
  },
  {
    what: 'a file one byte above what newc can say',
    layers: [[{ name: 'a', announce: 2 ** 32 }]],
    code: 'IMAGE_TOO_LARGE',
    text: /4294967296 bytes/,
  },
  {
    what: 'a file of just what newc can say, cut off',
    layers: [[{ name: 'a', announce: 2 ** 32 - 1 }]],
    code: 'IMAGE_TRUNCATED',
    text: /within an entry/,
  },
];

describe('hostile layers', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.create();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  for (const { what, layers, tree } of trees) {
    it(`takes ${what}`, async () => {
      await bench.buildLayers(...layers);
      assert.deepEqual(lines(await readRamdisk(bench.file('app.eif'))), tree);
      assert.deepEqual(await bench.leavings(), ['app.eif']);
    });
  }

  for (const { what, layers, code = 'IMAGE_INVALID', text } of refused) {
    it(`refuses ${what}`, async () => {
      await bench.writeImage(...layers);
      await assert.rejects(bench.build(), refusal(code, text));
      assert.deepEqual(await bench.leavings(), []);
    });
  }

  /** An OCI layout whose only layer is stored as `stored`, with digests that fit, and unpacks to `unpacked`. */
  async function writeStored(stored: Buffer, unpacked: Buffer): Promise<void> {
    const files = ociFiles([{ image: { layers: [stored], config } }]);
    const configFile = [...files].find(([, bytes]) => bytes.includes('"rootfs"'));
    assert.ok(configFile);
    const changed = Buffer.from(configFile[1].toString().replace(digestOf(stored), digestOf(unpacked)));
    const image = [...files].find(([, bytes]) => bytes.includes('"layers":'));
    assert.ok(image);
    const text = image[1].toString().replace(digestOf(configFile[1]), digestOf(changed));
    const index = files.get('index.json')?.toString() ?? '';
    await writeOciLayout(bench.file('image'), [{ image: { layers: [stored], config } }]);
    const write = (bytes: Buffer): Promise<void> =>
      writeFile(bench.file(`image/blobs/${digestOf(bytes).replace(':', '/')}`), bytes);
    await write(changed);
    await write(Buffer.from(text));
    await writeFile(bench.file('image/index.json'), index.replace(digestOf(image[1]), digestOf(Buffer.from(text))));
  }

  const zstd = (bytes: Buffer): Buffer => zstdCompressSync(bytes);
  const skippable = Buffer.concat([Buffer.from([0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0]), Buffer.from('toc')]);
  const half = plain.subarray(0, 3000);
  const rest = plain.subarray(3000);
  const checksummed = zstdCompressSync(rest, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  const noise = Buffer.from(Array.from({ length: 300_000 }, (_, n) => (n * n * 31 + (n >> 3)) & 0xff));
  const large = tar([{ name: 'app', content: noise }]);
  const framed: { what: string; stored: Buffer; unpacked: Buffer }[] = [
    { what: 'gzip of several members', stored: Buffer.concat([gzipSync(half), gzipSync(rest)]), unpacked: plain },
    { what: 'zstd of several frames', stored: Buffer.concat([zstd(half), checksummed]), unpacked: plain },
    {
      what: 'zstd with skippable frames first, between and last',
      stored: Buffer.concat([skippable, zstd(half), skippable, skippable, checksummed, skippable]),
      unpacked: plain,
    },
    {
      what: 'zstd of a frame for each 1,000 bytes',
      stored: Buffer.concat(
        Array.from({ length: Math.ceil(large.length / 1000) }, (_, n) =>
          zstd(large.subarray(1000 * n, 1000 * n + 1000)),
        ),
      ),
      unpacked: large,
    },
  ];
  for (const { what, stored, unpacked } of framed) {
    it(`takes a layer in ${what}, as other builders write it`, async () => {
      await writeStored(stored, unpacked);
      await bench.build();
      const app = (await readRamdisk(bench.file('app.eif'))).find(({ path }) => path === 'rootfs/app');
      assert.equal(app?.data, unpacked.toString('latin1', 512, 512 + (app?.data.length ?? 0)));
    });
  }

  const window = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3, 0x03, 0, 0, 0x41]);
  const damaged: { what: string; stored: Buffer; code: RegExp }[] = [
    { what: 'a gzip stream without its end', stored: gzipSync(plain).subarray(0, -9), code: /^IMAGE_TRUNCATED$/ },
    { what: 'a zstd stream without its end', stored: zstd(large).subarray(0, -9), code: /^IMAGE_TRUNCATED$/ },
    {
      what: 'a zstd stream that ends in a frame header',
      stored: zstd(plain).subarray(0, 5),
      code: /^IMAGE_TRUNCATED$/,
    },
    {
      what: 'bytes behind a gzip stream',
      stored: Buffer.concat([gzipSync(plain), Buffer.from('evil evil')]),
      code: /^IMAGE_INVALID$/,
    },
    {
      what: 'bytes behind a zstd stream',
      stored: Buffer.concat([zstd(plain), Buffer.from('evil evil')]),
      code: /^IMAGE_INVALID$/,
    },
    { what: 'a zstd stream that asks for a window of 2 GiB', stored: window, code: /^IMAGE_INVALID$/ },
    {
      what: 'a gzip stream within a gzip stream',
      stored: gzipSync(gzipSync(Buffer.alloc(2 * MIB))),
      code: /^IMAGE_(INVALID|TRUNCATED)$/,
    },
  ];
  for (const { what, stored, code } of damaged) {
    it(`refuses ${what}, though its digest fits`, async () => {
      await writeStored(stored, plain);
      await assert.rejects(bench.build(), (error: { code: string; message: string }) => {
        assert.match(error.code, code, error.message);
        return true;
      });
      assert.deepEqual(await bench.leavings(), []);
    });
  }

  const zeros = tar(Array.from({ length: 64 }, (_, n) => ({ name: `zeros-${n}`, content: Buffer.alloc(MIB) })));
  const bombs: [string, Buffer][] = [
    ['gzip', gzipSync(zeros)],
    ['zstd', zstd(zeros)],
    ['gzip of headers only', gzipSync(tar(Array.from({ length: 100_000 }, () => ({ name: 'same' }))))],
  ];
  for (const [what, stored] of bombs) {
    it(`stops at a bomb in ${what}, from a layout and from an archive`, async () => {
      assert.ok(stored.length < MIB / 2);
      const bound = { maxUnpackedBytes: 8 * MIB };
      await writeStored(stored, zeros);
      await assert.rejects(bench.build(bound), refusal('IMAGE_TOO_LARGE', /unpacked/));
      await writeFile(bench.file('app.tar'), dockerArchive({ layers: [zeros], config }, [], [stored]));
      const app = manifest('docker-archive:app.tar');
      await assert.rejects(bench.build({ ...bound, manifest: app }), refusal('IMAGE_TOO_LARGE', /unpacked/));
      assert.deepEqual(await bench.leavings(), ['app.tar']);
    });
  }

  it('stops at a bomb that is damaged as well, in place of reading it to its end for its digest', async () => {
    const bomb = gzipSync(Buffer.concat([Buffer.from('no tar'.padEnd(512, '!')), Buffer.alloc(64 * MIB)]));
    await writeFile(bench.file('app.tar'), dockerArchive({ layers: [plain], config }, [], [bomb]));
    await assert.rejects(
      bench.build({ maxUnpackedBytes: 8 * MIB, manifest: manifest('docker-archive:app.tar') }),
      refusal('IMAGE_INVALID', /checksum/),
    );
    assert.deepEqual(await bench.leavings(), ['app.tar']);
  });

  it('counts one layer that is named 1,000 times as often as it is named', async () => {
    const layers = Array<Buffer>(1000).fill(tar([{ name: 'f', content: Buffer.alloc(16 << 10) }]));
    await writeOciLayout(bench.file('image'), [{ image: { layers, config } }]);
    await assert.rejects(bench.build({ maxUnpackedBytes: MIB }), refusal('IMAGE_TOO_LARGE', /1048576 bytes unpacked/));
    assert.deepEqual(await bench.leavings(), []);
  });
});
