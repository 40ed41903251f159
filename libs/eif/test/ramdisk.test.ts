import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import {
  openRamdiskFile,
  type RamdiskFile,
  ramdiskFiles,
  readEif,
  S_IFLNK,
  S_IFREG,
  showName,
  writeEif,
} from '../src/index.ts';
import { newc, type RawEntry } from './newc.ts';
import { gather, refusal, smallImage, tempFolder } from './support.ts';

/** An image whose only ramdisk has these bytes. */
async function imageOf(path: string, ramdisk: Uint8Array) {
  const padded = Buffer.concat([ramdisk, Buffer.alloc(-ramdisk.length & 3)]);
  await writeEif(path, smallImage({ ramdisks: [padded] }));
  const eif = await readEif(path);
  const section = eif.sections.find(({ type }) => type === 'ramdisk') ?? assert.fail();
  return { eif, section };
}

async function list(path: string, ramdisk: Uint8Array): Promise<RamdiskFile[]> {
  const { eif, section } = await imageOf(path, ramdisk);
  const files: RamdiskFile[] = [];
  for await (const file of ramdiskFiles(eif, section)) files.push(file);
  return files;
}

const names = (files: readonly RamdiskFile[]): string[] => files.map(({ path }) => showName(path));

describe('ramdisks of an image', () => {
  const archive = newc([
    { name: 'etc', mode: 0o040755 },
    { name: 'etc/hosts', data: 'localhost' },
    { name: 'etc/link', mode: S_IFLNK | 0o777, data: 'hosts' },
  ]);

  it('lists names, link targets and further names of a file', async () => {
    await using folder = await tempFolder();
    const files = await list(
      folder.file('image'),
      newc([
        { name: 'a', ino: 7, nlink: 2, data: 'data' },
        { name: 'b', ino: 7, nlink: 2 },
        { name: 'l', ino: 8, mode: S_IFLNK | 0o777, data: 'a' },
      ]),
    );
    assert.deepEqual(
      files.map(({ target, hardLinkOf }) => [target?.toString(), hardLinkOf?.toString()]),
      [
        [undefined, undefined],
        [undefined, 'a'],
        ['a', undefined],
      ],
    );
  });

  it('unpacks gzip, in one or several members, with padding behind it', async () => {
    await using folder = await tempFolder();
    const half = archive.length / 2;
    const members = Buffer.concat([gzipSync(archive.subarray(0, half)), gzipSync(archive.subarray(half))]);
    for (const packed of [gzipSync(archive), members, Buffer.concat([gzipSync(archive), Buffer.alloc(8192)])]) {
      assert.deepEqual(names(await list(folder.file('image'), packed)), ['etc', 'etc/hosts', 'etc/link']);
    }
  });

  it('refuses what follows compressed data, damaged data and another compression', async () => {
    await using folder = await tempFolder();
    const damaged = gzipSync(archive);
    damaged[20] = (damaged[20] ?? 0) ^ 0xff;
    const bad: [Buffer, RegExp][] = [
      [Buffer.concat([gzipSync(archive), Buffer.alloc(8), archive]), /something follows/],
      [damaged, /cannot be unpacked/],
      [gzipSync(archive).subarray(0, 60), /cannot be unpacked/],
      [zstdCompressSync(archive), /with zstd; plain ones and gzip/],
      [Buffer.from('fd377a585a000000', 'hex'), /with xz/],
    ];
    for (const [packed, text] of bad) {
      await assert.rejects(list(folder.file('image'), packed), refusal('CPIO_COMPRESSED', text));
    }
  });

  it('ends a gzip bomb that unpacks to more names than are read', async () => {
    await using folder = await tempFolder();
    const block = newc(
      Array.from({ length: 1000 }, () => ({ name: 'x'.repeat(4000) })),
      { name: 'x' },
    );
    const bomb = gzipSync(Buffer.concat(Array.from({ length: 34 }, () => block)));
    assert.ok(bomb.length < 1 << 20);
    await assert.rejects(list(folder.file('image'), bomb), refusal('CPIO_TOO_LARGE', /134217728 bytes of names/));
  });

  it('shows hostile names as they stand', async () => {
    await using folder = await tempFolder();
    const hostile = ['/etc/passwd', '../../etc/passwd', 'a/../b', 'same', 'same', 'new\nline', '\x1b[31m', '\u202egpj'];
    const entries: RawEntry[] = [...hostile, Buffer.from('caf\xe9', 'latin1')].map((name) => ({ name }));
    assert.deepEqual(names(await list(folder.file('image'), newc(entries))), [
      '/etc/passwd',
      '../../etc/passwd',
      'a/../b',
      'same',
      'same',
      'new\\nline',
      '\\x1b[31m',
      '\\u{202e}gpj',
      'caf\\xe9',
    ]);
  });

  it('refuses malformed archives', async () => {
    await using folder = await tempFolder();
    const noNul = newc([{ name: 'name' }]);
    noNul[110 + 'name'.length] = 0x41;
    const nulInside = newc([{ name: 'na\0e' }]);
    const bad: [Buffer, 'CPIO_HEADER' | 'CPIO_TRUNCATED', RegExp][] = [
      [newc([{ name: 'huge', size: 0xffff_ffff }]), 'CPIO_TRUNCATED', /before its trailer/],
      [noNul, 'CPIO_HEADER', /does not end with its only NUL/],
      [nulInside, 'CPIO_HEADER', /only NUL/],
      [archive.subarray(0, archive.length - 124), 'CPIO_TRUNCATED', /before its trailer/],
      [archive.subarray(0, 60), 'CPIO_TRUNCATED', /before its trailer/],
      [newc([], { name: 'TRAILER???', mode: 0 }), 'CPIO_HEADER', /holds no file type/],
      [newc([], { name: 'TRAILER!!!', mode: 0, data: 'data' }), 'CPIO_HEADER', /trailer at byte 0 has data/],
      [Buffer.from('070707'.padEnd(120, '0')), 'CPIO_HEADER', /must be "070701"/],
      [Buffer.alloc(512), 'CPIO_HEADER', /no newc header/],
    ];
    for (const [ramdisk, code, text] of bad) {
      await assert.rejects(list(folder.file('image'), ramdisk), refusal(code, text));
    }
  });

  it('lists 100,000 entries', async () => {
    await using folder = await tempFolder();
    const entries = Array.from({ length: 100_000 }, (_, index) => ({ name: `dir/${index}`, ino: index }));
    assert.equal((await list(folder.file('image'), newc(entries))).length, 100_000);
  });

  it('gives no file of an image that was changed meanwhile', async () => {
    await using folder = await tempFolder();
    const { eif, section } = await imageOf(folder.file('image'), gzipSync(archive));
    await writeFile(folder.file('image'), 'other');
    await assert.rejects(gather(eif.data(section)), refusal('EIF_CHANGED'));
    await assert.rejects(ramdiskFiles(eif, section).next(), refusal('EIF_CHANGED'));
  });
});

describe('openRamdiskFile', () => {
  const open = async (path: string, entries: readonly RawEntry[], name: string): Promise<string | undefined> => {
    const { eif, section } = await imageOf(path, newc(entries));
    const file = await openRamdiskFile(eif, [section], Buffer.from(name));
    if (file === undefined) return undefined;
    const bytes = await gather(file.data);
    assert.equal(bytes.length, file.size);
    return bytes.toString();
  };

  it('gives the last of several entries, and nothing for a name that is not there', async () => {
    await using folder = await tempFolder();
    const twice = [
      { name: 'f', data: 'first' },
      { name: 'g', data: 'other' },
      { name: 'f', data: 'second' },
    ];
    assert.equal(await open(folder.file('image'), twice, 'f'), 'second');
    assert.equal(await open(folder.file('image'), twice, 'F'), undefined);
    assert.equal(await open(folder.file('image'), twice, 'f/'), undefined);
  });

  it('gives the content of a hard link, whichever name carries it', async () => {
    await using folder = await tempFolder();
    const link = { ino: 5, nlink: 3 };
    for (const carrier of ['a', 'b', 'c']) {
      const entries = ['a', 'b', 'c'].map((name) => ({ ...link, name, data: name === carrier ? 'content' : '' }));
      for (const name of ['a', 'b', 'c']) assert.equal(await open(folder.file('image'), entries, name), 'content');
    }
  });

  it('takes no data of a file in another archive that has the same inode number', async () => {
    await using folder = await tempFolder();
    const first = newc([{ name: 'a', ino: 5, nlink: 2 }]);
    const second = newc([{ name: 'b', ino: 5, nlink: 2, data: 'other' }]);
    const { eif, section } = await imageOf(folder.file('image'), Buffer.concat([first, second]));
    const file = (await openRamdiskFile(eif, [section], Buffer.from('a'))) ?? assert.fail();
    assert.equal((await gather(file.data)).length, 0);
  });

  it('refuses links, folders and devices', async () => {
    await using folder = await tempFolder();
    for (const mode of [S_IFLNK | 0o777, 0o040755, 0o020600, 0o060600, 0o010600, 0o140600]) {
      const entries = [{ name: 'x', mode, data: mode === (S_IFLNK | 0o777) ? '/etc/shadow' : '' }];
      await assert.rejects(open(folder.file('image'), entries, 'x'), refusal('CPIO_NOT_A_FILE'));
    }
    assert.equal(await open(folder.file('image'), [{ name: 'x', mode: S_IFREG | 0o4755, data: 'y' }], 'x'), 'y');
  });
});
