import assert from 'node:assert/strict';
import type { TarEntry } from '../../../test/images/tar.ts';
import { Bench, lines, readRamdisk, refusal } from './support.ts';

interface Case {
  what: string;
  layers: TarEntry[][];
  /** `path type+mode uid:gid [rdev] data`, in the ramdisk's order. */
  tree: string[];
}

const long = 'n'.repeat(60);
const longPath = `${long}/${long}/${long}`;
/** `é` in latin1, which is no UTF-8. */
const notUtf8 = Buffer.from('caf\xe9', 'latin1');

const cases: Case[] = [
  {
    what: 'a later layer replaces a file, with its mode and owner',
    layers: [
      [{ name: 'a', content: 'old', mode: 0o600, uid: 5 }],
      [{ name: 'a', content: 'new', mode: 0o640, gid: 7 }],
    ],
    tree: ['a 100640 0:7 new'],
  },
  {
    what: 'in one layer the last entry of a name wins',
    layers: [
      [
        { name: 'a', content: '1' },
        { name: './a', content: '2' },
      ],
    ],
    tree: ['a 100644 0:0 2'],
  },
  {
    what: 'a folder named again keeps its content and takes the new mode and owner',
    layers: [[{ name: 'd/' }, { name: 'd/f', content: 'x' }], [{ name: 'd/', mode: 0o700, uid: 9 }]],
    tree: ['d 40700 9:0', 'd/f 100644 0:0 x'],
  },
  {
    what: 'a whiteout removes a file of a lower layer',
    layers: [
      [
        { name: 'a', content: '1' },
        { name: 'b', content: '2' },
      ],
      [{ name: '.wh.a' }],
    ],
    tree: ['b 100644 0:0 2'],
  },
  {
    what: 'a whiteout removes a folder with all in it',
    layers: [[{ name: 'd/' }, { name: 'd/e/' }, { name: 'd/e/f' }], [{ name: '.wh.d' }]],
    tree: [],
  },
  {
    what: 'a whiteout hides nothing of its own layer, whichever comes first',
    layers: [
      [
        { name: 'a', content: 'old' },
        { name: 'b', content: 'old' },
      ],
      [{ name: 'a', content: 'new' }, { name: '.wh.a' }, { name: '.wh.b' }, { name: 'b', content: 'new' }],
    ],
    tree: ['a 100644 0:0 new', 'b 100644 0:0 new'],
  },
  {
    what: 'a whiteout of nothing is no error',
    layers: [[{ name: 'a' }], [{ name: '.wh.gone' }, { name: 'no/.wh.gone' }]],
    tree: ['a 100644 0:0'],
  },
  {
    what: 'a file removed and made again in later layers is there',
    layers: [[{ name: 'a', content: '1' }], [{ name: '.wh.a' }], [{ name: 'a', content: '3' }]],
    tree: ['a 100644 0:0 3'],
  },
  {
    what: 'a folder removed and re-made below has default mode and only the new content',
    layers: [
      [{ name: 'd/', mode: 0o700, uid: 3 }, { name: 'd/old' }],
      [{ name: 'd/new', content: 'n' }, { name: '.wh.d' }],
    ],
    tree: ['d 40755 0:0', 'd/new 100644 0:0 n'],
  },
  {
    what: 'an opaque marker hides the lower layers of its folder, deeply, and nothing of its own layer',
    layers: [
      [{ name: 'd/' }, { name: 'd/old' }, { name: 'd/e/' }, { name: 'd/e/old' }, { name: 'k', content: 'kept' }],
      [
        { name: 'd/', mode: 0o711 },
        { name: 'd/e/' },
        { name: 'd/e/new' },
        { name: 'd/.wh..wh..opq' },
        { name: 'd/late' },
      ],
    ],
    tree: ['d 40711 0:0', 'd/e 40755 0:0', 'd/e/new 100644 0:0', 'd/late 100644 0:0', 'k 100644 0:0 kept'],
  },
  {
    what: 'an opaque root empties the image below',
    layers: [
      [{ name: 'a' }, { name: 'd/f' }],
      [{ name: '.wh..wh..opq' }, { name: 'b' }],
    ],
    tree: ['b 100644 0:0'],
  },
  {
    what: 'files of AUFS are no files of the image',
    layers: [[{ name: '.wh..wh.aufs' }, { name: '.wh..wh.plnk/' }, { name: '.wh..wh.plnk/1' }, { name: 'a' }]],
    tree: ['a 100644 0:0'],
  },
  {
    what: 'a file becomes a folder, a folder a file, a symlink a folder',
    layers: [
      [{ name: 'f' }, { name: 'd/' }, { name: 'd/in' }, { name: 'l', link: 'd' }],
      [{ name: 'f/' }, { name: 'f/in' }, { name: 'd', content: 'file' }, { name: 'l/' }],
    ],
    tree: ['d 100644 0:0 file', 'f 40755 0:0', 'f/in 100644 0:0', 'l 40755 0:0'],
  },
  {
    what: 'all mode bits stay',
    layers: [
      [
        { name: 'su', mode: 0o4755 },
        { name: 'sg', mode: 0o2755 },
        { name: 'st/', mode: 0o1777 },
        { name: 'all', mode: 0o7777 },
        { name: 'none', mode: 0 },
      ],
    ],
    tree: ['all 107777 0:0', 'none 100000 0:0', 'sg 102755 0:0', 'st 41777 0:0', 'su 104755 0:0'],
  },
  {
    what: 'owners stay, also those that only PAX or base-256 can carry',
    layers: [
      [
        { name: 'a', uid: 1000, gid: 2000 },
        { name: 'b', uid: 4294967294, gid: 3000000 },
        { name: 'c', pax: { uid: '4000000000', gid: '70000' } },
      ],
    ],
    tree: ['a 100644 1000:2000', 'b 100644 4294967294:3000000', 'c 100644 4000000000:70000'],
  },
  {
    what: 'devices, fifos and symlinks are carried as they are',
    layers: [
      [
        { name: 'null', type: 'char-device', major: 1, minor: 3, mode: 0o666 },
        { name: 'loop', type: 'block-device', major: 7, minor: 300 },
        { name: 'pipe', type: 'fifo', mode: 0o600 },
        { name: 'up', link: '../../outside' },
        { name: 'abs', link: '/null', uid: 4 },
      ],
    ],
    tree: [
      'abs 120777 4:0 /null',
      'loop 60644 0:0 7:300',
      'null 20666 0:0 1:3',
      'pipe 10600 0:0',
      'up 120777 0:0 ../../outside',
    ],
  },
  {
    what: 'long names and targets, in PAX and in GNU form',
    layers: [
      [
        { name: `pax/${longPath}`, content: 'p' },
        { name: `gnu/${longPath}`, content: 'g', long: 'gnu' },
        { name: 'pl', link: longPath },
        { name: 'gl', link: longPath, long: 'gnu' },
      ],
    ],
    tree: [
      `gl 120777 0:0 ${longPath}`,
      'gnu 40755 0:0',
      `gnu/${long} 40755 0:0`,
      `gnu/${long}/${long} 40755 0:0`,
      `gnu/${longPath} 100644 0:0 g`,
      'pax 40755 0:0',
      `pax/${long} 40755 0:0`,
      `pax/${long}/${long} 40755 0:0`,
      `pax/${longPath} 100644 0:0 p`,
      `pl 120777 0:0 ${longPath}`,
    ],
  },
  {
    what: 'names are bytes, not text',
    layers: [
      [
        { name: notUtf8, content: '1' },
        { name: Buffer.concat([Buffer.from(`${longPath}-`), notUtf8]), content: '2' },
        { name: 'line\nbreak', content: '3' },
      ],
    ],
    tree: [
      'caf\xe9 100644 0:0 1',
      'line\nbreak 100644 0:0 3',
      `${long} 40755 0:0`,
      `${long}/${long} 40755 0:0`,
      `${longPath}-caf\xe9 100644 0:0 2`,
    ],
  },
  {
    what: 'order is by bytes of the whole path, a folder before what is in it',
    layers: [[{ name: 'a/b' }, { name: 'a-b' }, { name: 'a.b/c' }, { name: 'a0' }, { name: 'B' }]],
    tree: [
      'B 100644 0:0',
      'a 40755 0:0',
      'a-b 100644 0:0',
      'a.b 40755 0:0',
      'a.b/c 100644 0:0',
      'a/b 100644 0:0',
      'a0 100644 0:0',
    ],
  },
  {
    what: 'a name with a leading slash is one below the root, as engines take it',
    layers: [[{ name: '/a', content: '1' }, { name: '//d//f' }, { name: './e/./g' }]],
    tree: ['a 100644 0:0 1', 'd 40755 0:0', 'd/f 100644 0:0', 'e 40755 0:0', 'e/g 100644 0:0'],
  },
  {
    what: 'a parent that is a symlink is followed, as by a container engine',
    layers: [
      [{ name: 'usr/lib/' }, { name: 'lib', link: 'usr/lib' }, { name: 'abs', link: '/usr/lib' }],
      [{ name: 'lib/one' }, { name: 'abs/two' }],
    ],
    tree: [
      'abs 120777 0:0 /usr/lib',
      'lib 120777 0:0 usr/lib',
      'usr 40755 0:0',
      'usr/lib 40755 0:0',
      'usr/lib/one 100644 0:0',
      'usr/lib/two 100644 0:0',
    ],
  },
  {
    what: 'a parent symlink that points out of the root ends at the root, as in a chroot',
    layers: [[{ name: 'd/out', link: '../../../etc2' }, { name: 'etc2/' }, { name: 'd/out/passwd', content: 'in' }]],
    tree: ['d 40755 0:0', 'd/out 120777 0:0 ../../../etc2', 'etc2 40755 0:0', 'etc2/passwd 100644 0:0 in'],
  },
  {
    what: 'a whiteout through a symlink parent hides where it leads',
    layers: [[{ name: 'real/f' }, { name: 'real/g' }, { name: 'l', link: 'real' }], [{ name: 'l/.wh.f' }]],
    tree: ['l 120777 0:0 real', 'real 40755 0:0', 'real/g 100644 0:0'],
  },
  {
    what: 'old, contiguous and slash-ended types are files and folders',
    layers: [
      [
        { name: 'old', type: 'old', content: 'o' },
        { name: 'c', type: 'contiguous', content: 'c' },
        { name: 'd/', type: 'old' },
      ],
    ],
    tree: ['c 100644 0:0 c', 'd 40644 0:0', 'old 100644 0:0 o'],
  },
  {
    what: 'a global PAX header changes nothing',
    layers: [
      [{ name: 'g', type: 'global', content: '52 comment=0123456789012345678901234567890123456789\n' }, { name: 'a' }],
    ],
    tree: ['a 100644 0:0'],
  },
];

describe('flatten', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.create();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  for (const { what, layers, tree } of cases) {
    it(what, async () => {
      await bench.buildLayers(...layers);
      assert.deepEqual(lines(await readRamdisk(bench.file('app.eif'))), tree);
    });
  }

  it('keeps hard links, within a layer and to a file of a lower layer, as one file with its data once', async () => {
    await bench.buildLayers(
      [
        { name: 'z', content: 'data', mode: 0o755, uid: 3 },
        { name: 'm', type: 'hard-link', link: 'z' },
      ],
      [{ name: 'a', type: 'hard-link', link: '/z', mode: 0, uid: 9 }],
    );
    const entries = (await readRamdisk(bench.file('app.eif'))).filter(({ path }) => /^rootfs\/[amz]$/.test(path));
    assert.equal(new Set(entries.map(({ ino }) => ino)).size, 1);
    assert.deepEqual(
      entries.map(({ path, mode, uid, nlink, data }) => [path, mode, uid, nlink, data]),
      [
        ['rootfs/a', '100755', 3, 3, 'data'],
        ['rootfs/m', '100755', 3, 3, ''],
        ['rootfs/z', '100755', 3, 3, ''],
      ],
    );
  });

  it('leaves the other name of a hard link alone when one is replaced or removed', async () => {
    await bench.buildLayers(
      [
        { name: 'a', content: 'old' },
        { name: 'b', type: 'hard-link', link: 'a' },
        { name: 'c', type: 'hard-link', link: 'a' },
      ],
      [{ name: 'a', content: 'new' }, { name: '.wh.c' }],
    );
    const entries = await readRamdisk(bench.file('app.eif'));
    assert.deepEqual(lines(entries), ['a 100644 0:0 new', 'b 100644 0:0 old']);
    assert.ok(entries.every(({ nlink, mode }) => nlink === 1 || mode.startsWith('4')));
  });

  it('makes each name of a hard-linked symlink a symlink, since initramfs links none', async () => {
    await bench.buildLayers([
      { name: 's', link: 'x' },
      { name: 't', type: 'hard-link', link: 's' },
    ]);
    assert.deepEqual(lines(await readRamdisk(bench.file('app.eif'))), ['s 120777 0:0 x', 't 120777 0:0 x']);
  });

  it('takes the root folder from the image and keeps mount points that are there', async () => {
    await bench.buildLayers([
      { name: './', mode: 0o711, uid: 8 },
      { name: 'tmp', link: 'var/tmp' },
      { name: 'proc/', mode: 0o555 },
    ]);
    const found = (await readRamdisk(bench.file('app.eif'))).map(({ path, mode, uid }) => `${path} ${mode} ${uid}`);
    for (const line of ['rootfs 40711 8', 'rootfs/tmp 120777 0', 'rootfs/proc 40555 0', 'rootfs/sys 40755 0']) {
      assert.ok(found.includes(line), line);
    }
  });

  it('replaces a manifest that the image has, and refuses an /etc that is not a folder', async () => {
    await bench.buildLayers([{ name: 'etc/enclaver/enclaver.yaml', content: 'false', mode: 0o777, uid: 5 }]);
    const entries = await readRamdisk(bench.file('app.eif'));
    const kept = entries.find(({ path }) => path === 'rootfs/etc/enclaver/enclaver.yaml');
    assert.deepEqual([kept?.mode, kept?.uid, kept?.data.startsWith('version: v1')], ['100644', 0, true]);
    await bench.writeImage([{ name: 'etc', link: 'nix/etc' }, { name: 'nix/etc/' }]);
    await assert.rejects(bench.build(), refusal('IMAGE_INVALID', /\/etc of the image is a symlink/));
  });

  it('counts what cpio cannot carry and says so', async () => {
    await bench.writeImage([
      { name: 'ping', mode: 0o755, pax: { 'SCHILY.xattr.security.capability': Buffer.from([1, 0, 0, 2, 10, 0]) } },
      { name: 'plain' },
    ]);
    const warnings: string[] = [];
    await bench.build({ onWarning: (text) => warnings.push(text) });
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /^1 files? .*capabilities/);
  });
});
