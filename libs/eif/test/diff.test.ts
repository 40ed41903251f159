import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { diffEif, type EifContents, type EifDiff, formatDiff, S_IFLNK, writeEif } from '../src/index.ts';
import { newc, type RawEntry } from './newc.ts';
import { refusal, smallImage, tempFolder, type ValidVectors, vectors } from './support.ts';

const { cases } = await vectors<ValidVectors>('eif-valid');
const vector = (name: string): Buffer => Buffer.from(cases.find((each) => each.name === name)?.eif_b64 ?? '', 'base64');

async function diffOf(a: Partial<EifContents>, b: Partial<EifContents>): Promise<EifDiff> {
  await using folder = await tempFolder();
  await writeEif(folder.file('a'), smallImage(a));
  await writeEif(folder.file('b'), smallImage(b));
  return await diffEif(folder.file('a'), folder.file('b'));
}

async function diffVectors(a: string, b: string): Promise<EifDiff> {
  await using folder = await tempFolder();
  await writeFile(folder.file('a'), vector(a));
  await writeFile(folder.file('b'), vector(b));
  return await diffEif(folder.file('a'), folder.file('b'));
}

/** The comparison of two archives as second ramdisk. */
async function trees(a: Uint8Array, b: Uint8Array) {
  const pad = (bytes: Uint8Array): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
  const runtime = newc([{ name: 'init' }]);
  const found = await diffOf({ ramdisks: [runtime, pad(a)] }, { ramdisks: [runtime, pad(b)] });
  return found.sections.find(({ name }) => name === 'ramdisk1') ?? assert.fail();
}

const differing = ({ pcrs }: EifDiff): string[] => pcrs.filter(({ equal }) => !equal).map(({ register }) => register);
const files = async (a: RawEntry[], b: RawEntry[]) => (await trees(newc(a), newc(b))).files ?? assert.fail();

describe('diffEif', () => {
  it('finds no difference in two files of the same bytes', async () => {
    const found = await diffVectors('signed-p384', 'signed-p384');
    assert.equal(found.equal, true);
    assert.deepEqual(found.header, []);
    assert.deepEqual(
      found.sections.map(({ name, equal }) => [name, equal]),
      ['kernel', 'cmdline', 'metadata', 'ramdisk0', 'ramdisk1', 'signature'].map((name) => [name, true]),
    );
    assert.deepEqual(differing(found), []);
    assert.deepEqual(
      found.pcrs.map(({ register }) => register),
      ['PCR0', 'PCR1', 'PCR2', 'PCR8'],
    );
  });

  it('says which registers a change of each section changes', async () => {
    const { metadata } = smallImage();
    const changes: [Partial<EifContents>, string, string[]][] = [
      [{ kernel: Buffer.from('Kernel') }, 'kernel', ['PCR0', 'PCR1']],
      [{ cmdline: 'reboot=k' }, 'cmdline', ['PCR0', 'PCR1']],
      [{ metadata: { ...metadata, ImageName: 'other' } }, 'metadata', []],
      [{ ramdisks: [Buffer.from('Ramdisk0'), Buffer.from('ramdisk1')] }, 'ramdisk0', ['PCR0', 'PCR1']],
      [{ ramdisks: [Buffer.from('ramdisk0'), Buffer.from('Ramdisk1')] }, 'ramdisk1', ['PCR0', 'PCR2']],
    ];
    for (const [change, name, registers] of changes) {
      const found = await diffOf({}, change);
      assert.equal(found.equal, false);
      assert.deepEqual(
        found.sections.filter(({ equal }) => !equal).map((section) => section.name),
        [name],
      );
      assert.deepEqual(differing(found), registers);
    }
  });

  it('names fields of the header, and the order of sections', async () => {
    const found = await diffOf({}, { arch: 'aarch64', defaultCpus: 4n });
    assert.deepEqual(found.header.map(({ field, a, b }) => [field, a, b]).slice(0, -1), [
      ['arch', 'x86_64', 'aarch64'],
      ['flags', '0x0', '0x1'],
      ['default cpus', '2', '4'],
    ]);
    const fewer = await diffVectors('unsigned-x86_64', 'one-ramdisk');
    assert.ok(fewer.header.some(({ field }) => field === 'sections'));
    const gone = fewer.sections.find(({ name }) => name === 'ramdisk1');
    assert.deepEqual([gone?.equal, gone?.a?.size, gone?.b], [false, 2048, undefined]);
  });

  it('compares the command line by words, metadata by keys, a signature by what it says', async () => {
    const section = (found: EifDiff, name: string) => found.sections.find((each) => each.name === name)?.fields;
    const words = await diffOf({ cmdline: 'a=1 b c c=2' }, { cmdline: 'a=2 c c=3 d' });
    assert.deepEqual(section(words, 'cmdline'), [
      { field: 'a', a: 'a=1', b: 'a=2' },
      { field: 'b', a: 'b' },
      { field: 'c (2)', a: 'c=2', b: 'c=3' },
      { field: 'd', b: 'd' },
    ]);
    const { metadata } = smallImage();
    const keys = await diffOf({}, { metadata: { ...metadata, CustomMetadata: { x: [1, 'two'] } } });
    assert.deepEqual(section(keys, 'metadata'), [
      { field: 'CustomMetadata', a: 'null' },
      { field: 'CustomMetadata.x.0', b: '1' },
      { field: 'CustomMetadata.x.1', b: '"two"' },
    ]);
    const signatures = await diffVectors('signed-p384', 'signed-p256');
    assert.ok(section(signatures, 'signature')?.some(({ a, b }) => a === 'ES384' && b === 'ES256'));
    assert.deepEqual(differing(signatures), ['PCR8']);
    const unsigned = await diffVectors('signed-p384', 'unsigned-x86_64');
    assert.deepEqual(differing(unsigned), ['PCR8']);
    assert.equal(unsigned.pcrs.at(-1)?.b, undefined);
  });

  it('lists a bounded number of metadata keys and cuts their values', async () => {
    const { metadata } = smallImage();
    const many = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`k${index}`, 'v'.repeat(300)]));
    const found = await diffOf({}, { metadata: { ...metadata, CustomMetadata: many } });
    const section = found.sections.find(({ name }) => name === 'metadata');
    assert.equal(section?.fields?.length, 1000);
    assert.equal(section?.moreFields, 2001);
    assert.match(section?.fields?.[1]?.b ?? '', /^"v{199}… \(302 characters, sha256 [0-9a-f]{64}\)$/);
  });

  it('names every way in which a file can change', async () => {
    const device = { mode: 0o020600, rdevMajor: 1, rdevMinor: 3 };
    const link = { mode: S_IFLNK | 0o777 };
    const a: RawEntry[] = [
      { name: 'same', data: 'same' },
      { name: 'mode', mode: 0o100644 },
      { name: 'content', data: 'hello' },
      { name: 'longer', data: 'hello' },
      { name: 'target', ...link, data: 'old' },
      { name: 'time', mtime: 1 },
      { name: 'device', ...device },
      { name: 'type', mode: 0o100755 },
      { name: 'linked', nlink: 2, ino: 9 },
      { name: 'other', nlink: 2, ino: 9 },
      { name: 'removed', data: 'r' },
    ];
    const b: RawEntry[] = [
      { name: 'same', data: 'same', ino: 77 },
      { name: 'mode', mode: 0o104755 },
      { name: 'content', data: 'heLlo' },
      { name: 'longer', data: 'hello!' },
      { name: 'target', ...link, data: 'new' },
      { name: 'time', mtime: 2 },
      { name: 'device', ...device, rdevMinor: 4 },
      { name: 'type', mode: 0o040755 },
      { name: 'linked' },
      { name: 'other' },
      { name: 'added', data: 'a' },
    ];
    const found = await files(a, b);
    assert.deepEqual([found.added, found.removed, found.changed, found.more], [1, 1, 9, 0]);
    assert.deepEqual(
      found.files.map(({ path, kind, changes, firstDifference }) => [path, kind, changes.join(), firstDifference]),
      [
        ['mode', 'changed', 'mode', undefined],
        ['content', 'changed', 'content', 2],
        ['longer', 'changed', 'content', 5],
        ['target', 'changed', 'target', undefined],
        ['time', 'changed', 'mtime', undefined],
        ['device', 'changed', 'device', undefined],
        ['type', 'changed', 'type', undefined],
        ['linked', 'changed', 'links', undefined],
        ['other', 'changed', 'links', undefined],
        ['added', 'added', '', undefined],
        ['removed', 'removed', '', undefined],
      ],
    );
    assert.equal(found.onlyArchive, false);
    const content = found.files[1];
    assert.equal(content?.a?.sha256, '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824');
    assert.notEqual(content?.b?.sha256, content?.a?.sha256);
  });

  it('sees another order, and entries of one name', async () => {
    const [x, y, z] = ['x', 'y', 'z'].map((name) => ({ name, data: name }));
    assert.ok(x && y && z);
    const order = await files([x, y, z], [y, x, z]);
    assert.deepEqual([order.changed, order.outOfOrder, order.onlyArchive], [0, { path: 'x' }, false]);
    const more = await files([x, z], [x, y, z]);
    assert.equal(more.outOfOrder, undefined);
    const copies = await files([x, { name: 'x', data: '2' }], [x, { name: 'x', data: '3' }, { name: 'x', data: '4' }]);
    assert.deepEqual(
      copies.files.map(({ path, kind }) => [path, kind]),
      [
        ['x', 'changed'],
        ['x', 'added'],
      ],
    );
  });

  it('says when only the archive differs', async () => {
    const entries = [{ name: 'x', data: 'x' }];
    for (const other of [newc([{ name: 'x', data: 'x', ino: 5 }]), gzipSync(newc(entries))]) {
      const { equal, files: found } = await trees(newc(entries), other);
      assert.equal(equal, false);
      assert.equal(found?.onlyArchive, true);
    }
  });

  it('compares gzip-compressed ramdisks, without the place in a file', async () => {
    const packed = (data: string) => gzipSync(newc([{ name: 'x', data }]));
    const { files: found } = await trees(packed('one'), packed('two'));
    assert.deepEqual(
      found?.files.map(({ changes }) => changes),
      [['content']],
    );
    assert.equal(found?.files[0]?.firstDifference, undefined);
  });

  it('compares a ramdisk that is no archive as bytes', async () => {
    const section = await trees(Buffer.alloc(200, 'something'), Buffer.alloc(200, 'somewhere'));
    assert.equal(section.firstDifference, 4);
    assert.equal(section.filesError?.code, 'CPIO_HEADER');
  });

  it('lists a bounded number of files and counts the others', async () => {
    const many = Array.from({ length: 20_000 }, (_, index) => ({ name: `f${index}` }));
    const found = await files([], many);
    assert.deepEqual([found.added, found.files.length, found.more], [20_000, 1000, 19_000]);
  });

  it('finds the first differing byte of any two images', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 99 }),
        fc.uint8Array({ minLength: 1, maxLength: 99 }),
        fc.nat(12),
        async (one, two, common) => {
          const start = Buffer.alloc(common * 100_000, 'start');
          const [a, b] = [Buffer.concat([start, one]), Buffer.concat([start, two])];
          const found = (await diffOf({ kernel: a }, { kernel: b })).sections[0];
          const at = [...two, undefined].findIndex((byte, index) => byte !== one[index]);
          const expected = a.equals(b) ? undefined : start.length + at;
          assert.equal(found?.firstDifference, expected);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('names the file that is no sound image', async () => {
    await using folder = await tempFolder();
    await writeEif(folder.file('good'), smallImage());
    const damaged = await readFile(folder.file('good'));
    damaged[562] = (damaged[562] ?? 0) ^ 1;
    await writeFile(folder.file('bad'), damaged);
    const { good, bad } = { good: folder.file('good'), bad: folder.file('bad') };
    for (const [a, b] of [
      [good, bad],
      [bad, good],
    ] as const) {
      await assert.rejects(diffEif(a, b), refusal('EIF_CRC', /bad: the CRC is/));
    }
  });
});

describe('formatDiff', () => {
  it('prints nothing that a terminal would obey', async () => {
    const evil = '\x1b]0;evil\x07\n\u202e';
    const { metadata } = smallImage();
    const entries = (data: string): Buffer =>
      newc([
        { name: evil, data },
        { name: 'l', mode: S_IFLNK | 0o777, data: evil + data },
      ]);
    const found = await diffOf(
      { ramdisks: [newc([]), entries('a')], metadata: { ...metadata, ImageName: evil, CustomMetadata: { [evil]: 1 } } },
      { ramdisks: [newc([]), entries('b')], cmdline: evil.replace('\n', '') },
    );
    for (const line of formatDiff(found)) assert.doesNotMatch(line, /[\p{Cc}\p{Cf}]/u);
    assert.ok(formatDiff(found).some((line) => line.includes('\\x1b]0;evil')));
  });

  it('ends with the registers', async () => {
    const lines = formatDiff(await diffOf({}, { ramdisks: [Buffer.from('ramdisk0'), Buffer.from('ramdiskX')] }));
    assert.deepEqual(
      lines.filter((line) => line.startsWith('PCR')).map((line) => line.slice(0, 10)),
      ['PCR0: diff', 'PCR1: same', 'PCR2: diff'],
    );
  });
});
