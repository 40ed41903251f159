import assert from 'node:assert/strict';
import { writeOciLayout } from '../../../../test/images/image.ts';
import { tar } from '../../../../test/images/tar.ts';
import type { BuilderErrorCode } from '../../src/builder-error.ts';
import { Bench, lines, readRamdisk, refusal } from '../support.ts';
import {
  archive,
  base256,
  extension,
  MAGIC_AT,
  MAJOR_AT,
  PREFIX_AT,
  patched,
  record,
  SIZE_AT,
  TYPE_AT,
  UID_AT,
} from './craft.ts';

const long = 'n'.repeat(80);

const refused: { what: string; layer: Buffer; code?: BuilderErrorCode; text: RegExp }[] = [
  {
    what: 'a size of 2^60 in base-256',
    layer: archive(patched({ name: 'a' }, { [SIZE_AT]: base256(2n ** 60n, 12) })),
    text: /size is negative or too large/,
  },
  {
    what: 'a size of 2^52, which a number holds but no file may have',
    layer: archive(patched({ name: 'a' }, { [SIZE_AT]: base256(2n ** 52n, 12) })),
    code: 'IMAGE_TOO_LARGE',
    text: /4503599627370496 bytes/,
  },
  {
    what: 'a negative size in base-256',
    layer: archive(patched({ name: 'a' }, { [SIZE_AT]: base256(-512n, 12) })),
    text: /size is negative/,
  },
  {
    what: 'a negative owner in base-256',
    layer: archive(patched({ name: 'a' }, { [UID_AT]: base256(-1n, 8) })),
    text: /uid is negative/,
  },
  {
    what: 'an owner above 2^32',
    layer: archive(patched({ name: 'a' }, { [UID_AT]: base256(2n ** 33n, 8) })),
    text: /owner 8589934592/,
  },
  {
    what: 'a size that is no number',
    layer: archive(patched({ name: 'a' }, { [SIZE_AT]: '0x10' })),
    text: /not an octal/,
  },
  {
    what: 'a device number that Linux cannot have',
    layer: archive(patched({ name: 'a', type: 'char-device' }, { [MAJOR_AT]: base256(4096n, 8) })),
    text: /device 4096:0/,
  },
  {
    what: 'a GNU sparse file that announces 8 TiB',
    layer: archive(patched({ name: 's' }, { [TYPE_AT]: 'S', 483: base256(2n ** 43n, 12) })),
    text: /type is "S"/,
  },
  ...['GNU.sparse.map', 'GNU.sparse.major', 'GNU.sparse.name', 'GNU.sparse.realsize'].map((key) => ({
    what: `a sparse file by ${key}`,
    layer: archive(extension('x', record(key, '1')), tar([{ name: 's' }], { open: true })),
    text: /sparse/,
  })),
  ...[
    ['a record that says it is longer than its header', '99 path=a\n'],
    ['a record of length 0', '0 path=a\n'],
    ['a record without an end of line', '8 path=a'],
    ['a record shorter than its own length field', '3 path=a\n'],
    ['a record with a length of 30 digits', `${'1'.repeat(30)} path=a\n`],
    ['a negative record length', '-9 path=a\n'],
    ['a record without a key', '6 =a1\n'],
    ['a record without an equals sign', '8 path1\n'],
  ].map(([what = '', body = '']) => ({
    what: `PAX: ${what}`,
    layer: archive(extension('x', body), tar([{ name: 'a' }], { open: true })),
    text: /PAX header/,
  })),
  {
    what: 'a NUL in a PAX link target',
    layer: archive(extension('x', record('linkpath', 'a\0b')), tar([{ name: 'l', link: 'x' }], { open: true })),
    text: /NUL/,
  },
  {
    what: 'a damaged global header',
    layer: archive(extension('g', 'no record'), tar([{ name: 'a' }], { open: true })),
    text: /PAX header/,
  },
  {
    what: 'an extended header that announces 2^40 bytes',
    layer: archive(patched({ name: 'x' }, { [TYPE_AT]: 'x', [SIZE_AT]: base256(2n ** 40n, 12) })),
    text: /extended header has 1099511627776/,
  },
  {
    what: 'a long GNU name of 2 MiB',
    layer: archive(extension('L', 'n'.repeat(2 ** 21)), tar([{ name: 'a' }], { open: true })),
    text: /extended header/,
  },
  {
    what: 'two long names that differ, of which readers take one or the other',
    layer: archive(
      extension('x', record('path', 'seen-by-one')),
      extension('L', 'seen-by-another\0'),
      tar([{ name: 'a' }], { open: true }),
    ),
    text: /two different names/,
  },
  {
    what: 'two long link targets that differ',
    layer: archive(
      extension('K', 'one\0'),
      extension('x', record('linkpath', 'another')),
      tar([{ name: 'l', link: 'x' }], { open: true }),
    ),
    text: /two different link targets/,
  },
  {
    what: 'an old folder with data, in which some readers see further entries',
    layer: archive(patched({ name: 'd/', type: 'old', content: tar([{ name: 'hidden' }], { open: true }) }, {})),
    text: /folder with 512 bytes/,
  },
  {
    what: 'entries after a single block of zeros, where some readers stop',
    layer: archive(tar([{ name: 'a' }], { open: true }), Buffer.alloc(512), tar([{ name: 'b' }], { open: true })),
    text: /block of zeros/,
  },
  {
    what: 'an entry of an unknown type',
    layer: archive(patched({ name: 'a' }, { [TYPE_AT]: 'Q' })),
    text: /type is "Q"/,
  },
  {
    what: 'a header with a wrong checksum',
    layer: (() => {
      const bytes = tar([{ name: 'a' }]);
      bytes[0] = 0x62;
      return bytes;
    })(),
    text: /checksum/,
  },
  {
    what: 'a layer that ends within a header',
    layer: tar([{ name: 'a' }], { open: true }).subarray(0, 300),
    code: 'IMAGE_TRUNCATED',
    text: /ends at byte 300/,
  },
  {
    what: 'a layer that ends within the data of a file',
    layer: tar([{ name: 'a', content: 'x'.repeat(2000) }], { open: true }).subarray(0, 1500),
    code: 'IMAGE_TRUNCATED',
    text: /ends at byte 1500/,
  },
  {
    what: 'a layer that ends within an extended header',
    layer: extension('x', record('path', 'p'.repeat(600))).subarray(0, 700),
    code: 'IMAGE_TRUNCATED',
    text: /ends at byte 700/,
  },
];

const taken: { what: string; layer: Buffer; tree: string[] }[] = [
  {
    what: 'a PAX record without value is one that is not there, as the standard says',
    layer: archive(
      extension('x', record('path', '') + record('linkpath', '') + record('uid', '') + record('size', '')),
      tar([{ name: 'a', content: 'x', uid: 5 }], { open: true }),
    ),
    tree: ['a 100644 5:0 x'],
  },
  {
    what: 'the same name twice, in PAX and in GNU form',
    layer: archive(
      extension('x', record('path', 'same')),
      extension('L', 'same\0'),
      tar([{ name: 'a', content: 'x' }], { open: true }),
    ),
    tree: ['same 100644 0:0 x'],
  },
  {
    what: 'a size of PAX counts, not that of the header',
    layer: archive(
      extension('x', record('size', '3')),
      patched({ name: 'a', content: 'abc' }, { [SIZE_AT]: '00000000000\0' }),
      tar([{ name: 'b', content: 'b' }], { open: true }),
    ),
    tree: ['a 100644 0:0 abc', 'b 100644 0:0 b'],
  },
  {
    what: 'a size on a link, a device or a folder has no data',
    layer: archive(
      patched({ name: 'l', link: 'x' }, { [SIZE_AT]: '00000001000\0' }),
      patched({ name: 'n', type: 'char-device', major: 1, minor: 3 }, { [SIZE_AT]: '00000001000\0' }),
      patched({ name: 'd/' }, { [SIZE_AT]: '00000001000\0' }),
      tar([{ name: 'z' }], { open: true }),
    ),
    tree: ['d 40755 0:0', 'l 120777 0:0 x', 'n 20644 0:0 1:3', 'z 100644 0:0'],
  },
  {
    what: 'a modern file whose name ends with a slash is a file, as engines take it',
    layer: archive(patched({ name: 'f/', type: 'file', content: 'data' }, {})),
    tree: ['f 100644 0:0 data'],
  },
  {
    what: 'a prefix of star ends where its times begin',
    layer: archive(
      patched(
        { name: 'a' },
        { [MAGIC_AT]: 'ustar\x0000', [PREFIX_AT]: `${long}/${'m'.repeat(50)}`, 476: '7', 508: 'tar\0' },
      ),
    ),
    tree: [`${long} 40755 0:0`, `${long}/${'m'.repeat(50)} 40755 0:0`, `${long}/${'m'.repeat(50)}/a 100644 0:0`],
  },
  {
    what: 'a global header, be it a path, names no entry',
    layer: archive(extension('g', record('path', '../../etc/passwd')), tar([{ name: 'a' }], { open: true })),
    tree: ['a 100644 0:0'],
  },
  {
    what: 'control bytes, line ends and bytes that are no UTF-8 stay in names as they are',
    layer: tar([
      { name: Buffer.from([0x01, 0x0a, 0x1b, 0x5b, 0x7f, 0x80, 0xff]), content: 'x' },
      { name: 'l', link: Buffer.from([0xff, 0x0d, 0xfe]) },
    ]),
    tree: ['\x01\n\x1b[\x7f\x80\xff 100644 0:0 x', 'l 120777 0:0 \xff\r\xfe'],
  },
];

describe('hostile tar archives', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.create();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  const write = (layer: Buffer): Promise<void> =>
    writeOciLayout(bench.file('image'), [{ image: { layers: [layer], config: { Cmd: ['/app'] } } }]);

  for (const { what, layer, code = 'IMAGE_INVALID', text } of refused) {
    it(`refuses ${what}`, async () => {
      await write(layer);
      await assert.rejects(bench.build(), refusal(code, text));
      assert.deepEqual(await bench.leavings(), []);
    });
  }

  for (const { what, layer, tree } of taken) {
    it(`takes ${what}`, async () => {
      await write(layer);
      await bench.build();
      assert.deepEqual(lines(await readRamdisk(bench.file('app.eif'))), tree);
    });
  }
});
