import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type CpioEntry, cpio, findInCpio, readCpio } from '../src/index.ts';
import { gather, inPieces, refusal, type ValidVectors, vectors } from './support.ts';

const { components_b64 } = await vectors<ValidVectors>('eif-valid');

interface Unpacked {
  path: Buffer;
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  ino: number;
  rdev: { major: number; minor: number };
  content: Buffer;
}

async function unpack(source: Parameters<typeof readCpio>[0]): Promise<Unpacked[]> {
  const all: Unpacked[] = [];
  for await (const { path, mode, uid, gid, nlink, ino, rdev, data } of readCpio(source)) {
    all.push({ path, mode, uid, gid, nlink, ino, rdev, content: await gather(data) });
  }
  return all;
}

const pack = (entries: CpioEntry[]): Promise<Buffer> => gather(cpio(entries));
const file = (path: string | Buffer, text: string): CpioEntry => ({ path, mode: 0o100644, data: Buffer.from(text) });

/** Path components: any bytes but NUL and slash, and not the names with a meaning of their own. */
const component = fc
  .uint8Array({ minLength: 1, maxLength: 12 })
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x0a : byte))))
  .filter((bytes) => !['.', '..', 'TRAILER!!!'].includes(bytes.toString('latin1')));
const path = fc
  .array(component, { minLength: 1, maxLength: 4 })
  .map((parts) => Buffer.concat(parts.flatMap((part, index) => (index === 0 ? [part] : [Buffer.from('/'), part]))));
const id = fc.integer({ min: 0, max: 0xffffffff });
const permissions = fc.integer({ min: 0, max: 0o7777 });
const content = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const entry: fc.Arbitrary<CpioEntry> = fc.oneof(
  fc.record({ path, mode: permissions.map((bits) => bits | 0o100000), uid: id, gid: id, data: content }),
  fc.record({ path, mode: permissions.map((bits) => bits | 0o040000), uid: id, gid: id }),
  fc.record({ path, mode: fc.constant(0o120777), uid: id, gid: id, data: content.filter(({ length }) => length > 0) }),
  fc.record({
    path,
    mode: permissions.map((bits) => bits | 0o020000),
    rdev: fc.tuple(id, id).map(([major, minor]) => ({ major, minor })),
  }),
);

describe('cpio', () => {
  for (const name of ['ramdisk0', 'ramdisk1', 'ramdisk2'] as const) {
    it(`writes the bytes of the vectors' ${name} again`, async () => {
      const original = Buffer.from(components_b64[name], 'base64');
      const entries = (await unpack(original)).map(
        ({ path, mode, uid, gid, content }): CpioEntry => ({ path, mode, uid, gid, data: content }),
      );
      assert.deepEqual(await pack(entries), original);
    });
  }

  it('brings back any entries, whatever the pieces', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 8 }), fc.integer({ min: 1, max: 600 }), async (entries, size) => {
        const bytes = await pack(entries);
        assert.equal(bytes.length % 512, 0);
        const back = await unpack(inPieces(bytes, size));
        assert.deepEqual(
          back.map(({ path, mode, uid, gid, rdev, content }) => ({ path, mode, uid, gid, rdev, content })),
          entries.map(({ path, mode, uid = 0, gid = 0, rdev = { major: 0, minor: 0 }, data = Buffer.alloc(0) }) => ({
            path,
            mode,
            uid,
            gid,
            rdev,
            content: data,
          })),
        );
        assert.deepEqual(
          back.map(({ ino }) => ino),
          entries.map((_, index) => index + 1),
        );
      }),
      { numRuns: 200 },
    );
  });

  it('reads joined archives, with zero bytes between', async () => {
    const first = await pack([file('a', '1')]);
    const second = await pack([file('b', '22')]);
    const names = (await unpack([first, Buffer.alloc(4), second, Buffer.alloc(512)])).map(({ path }) =>
      path.toString(),
    );
    assert.deepEqual(names, ['a', 'b']);
    await assert.rejects(unpack([first, Buffer.alloc(2), second]), refusal('CPIO_HEADER', /multiple of 4/));
  });

  it('gives hard links one inode, one count, and the data once', async () => {
    const mode = 0o100755;
    const back = await unpack(
      await pack([
        { path: 'bin/a', mode, nlink: 3, data: Buffer.from('program') },
        file('other', 'x'),
        { path: 'bin/b', mode, hardLinkOf: 'bin/a' },
        { path: 'bin/c', mode, hardLinkOf: 'bin/a' },
        file('last', 'y'),
      ]),
    );
    assert.deepEqual(
      back.map(({ ino, nlink, content }) => [ino, nlink, content.toString()]),
      [
        [1, 3, 'program'],
        [2, 1, 'x'],
        [1, 3, ''],
        [1, 3, ''],
        [3, 1, 'y'],
      ],
    );
  });

  it('refuses hard links that do not add up', async () => {
    const mode = 0o100644;
    const first: CpioEntry = { path: 'a', mode, nlink: 2, data: Buffer.from('x') };
    await assert.rejects(pack([first]), refusal('CPIO_ENTRY', /1 of them did not come/));
    await assert.rejects(pack([file('a', 'x'), { path: 'b', mode, hardLinkOf: 'a' }]), refusal('CPIO_ENTRY'));
    const second: CpioEntry = { path: 'b', mode, hardLinkOf: 'a' };
    await assert.rejects(pack([first, second, { ...second, path: 'c' }]), refusal('CPIO_ENTRY', /leaves room/));
    await assert.rejects(pack([first, { ...second, uid: 7 }]), refusal('CPIO_ENTRY', /owner/));
    await assert.rejects(pack([first, { ...second, data: Buffer.from('x') }]), refusal('CPIO_ENTRY', /has data/));
  });

  it('refuses paths that Linux would refuse or that leave the root', async () => {
    for (const path of [
      '',
      '/a',
      '..',
      'a/../b',
      'a/./b',
      './a',
      'a//b',
      'a/',
      'a\0b',
      'TRAILER!!!',
      'x'.repeat(4096),
    ]) {
      await assert.rejects(pack([file(path, '')]), refusal('CPIO_PATH'));
    }
    assert.equal((await unpack(await pack([file('x'.repeat(4095), '')]))).length, 1);
  });

  it('refuses data that is not what was announced', async () => {
    const mode = 0o100644;
    const pieces = (): Iterable<Uint8Array> => inPieces(Buffer.from('12345'), 2);
    await assert.rejects(pack([{ path: 'a', mode, data: pieces() }]), refusal('CPIO_ENTRY', /size must be given/));
    await assert.rejects(pack([{ path: 'a', mode, data: pieces(), size: 6 }]), refusal('CPIO_SIZE', /only 5 of 6/));
    await assert.rejects(pack([{ path: 'a', mode, data: pieces(), size: 4 }]), refusal('CPIO_SIZE', /more than 4/));
    await assert.rejects(pack([{ path: 'a', mode, data: Buffer.from('1'), size: 2 }]), refusal('CPIO_SIZE'));
    await assert.rejects(pack([{ path: 'a', mode, size: 2 }]), refusal('CPIO_SIZE', /only 0 of 2/));
    await assert.rejects(
      pack([{ path: 'a', mode, data: pieces(), size: 2 ** 32 }]),
      refusal('CPIO_SIZE', /4294967295/),
    );
    await assert.rejects(
      pack([{ path: 'a', mode: 0o040755, data: Buffer.from('1') }]),
      refusal('CPIO_ENTRY', /has data/),
    );
    await assert.rejects(pack([{ path: 'a', mode: 0o120777 }]), refusal('CPIO_SIZE', /target/));
    await assert.rejects(pack([{ path: 'a', mode: 0o644 }]), refusal('CPIO_ENTRY', /no file type/));
    await assert.rejects(pack([{ path: 'a', mode, uid: -1 }]), refusal('CPIO_ENTRY', /uid -1/));
  });

  it('refuses every archive cut short', async () => {
    const bytes = await pack([file('name', 'content')]);
    const end = bytes.lastIndexOf('TRAILER!!!') + 'TRAILER!!!'.length + 1;
    for (let length = 0; length < end; length += 1) {
      await assert.rejects(unpack(bytes.subarray(0, length)), refusal('CPIO_TRUNCATED'));
    }
  });

  it('refuses malformed headers', async () => {
    const good = await pack([file('name', 'content')]);
    const changed = (at: number, text: string): Buffer => {
      const copy = Buffer.from(good);
      copy.write(text, at, 'latin1');
      return copy;
    };
    const cases: [Buffer, RegExp][] = [
      [changed(0, '070707'), /no newc header/],
      [changed(0, '070702'), /no newc header/],
      [changed(10, '+'), /hexadecimal/],
      [changed(14, '00000000'), /no file type/],
      [changed(94, '00000000'), /name .* has 0 bytes/],
      [changed(94, '00001001'), /name .* has 4097 bytes/],
      [changed(94, 'FFFFFFFF'), /name .* has 4294967295 bytes/],
      [changed(112, '\0'), /only NUL/],
      [changed(115, 'x'), /padding|NUL/],
    ];
    for (const [bytes, message] of cases) await assert.rejects(unpack(bytes), refusal('CPIO_HEADER', message));
  });

  it('never fails but with its own error on damaged archives', async () => {
    const good = await pack([file('name', 'content'), { path: 'd', mode: 0o040755 }]);
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const bytes = Buffer.from(good);
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        try {
          await unpack(bytes);
        } catch (error) {
          assert.match((error as { code: string }).code, /^CPIO_/);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('refuses to give the data of an entry that has passed', async () => {
    const seen: AsyncIterable<Buffer>[] = [];
    for await (const { data } of readCpio(await pack([file('a', 'first'), file('b', 'second')]))) seen.push(data);
    const [stale] = seen;
    assert.ok(stale);
    await assert.rejects(gather(stale), /after the next entry/);
  });

  it('finds a file by name, the later one of two, within the bound', async () => {
    const bytes = await pack([
      file('etc/x', 'old'),
      file('etc/x', 'new'),
      { path: 'link', mode: 0o120777, data: Buffer.from('etc/x') },
    ]);
    assert.equal((await findInCpio(inPieces(bytes, 50), 'etc/x'))?.toString(), 'new');
    assert.equal(await findInCpio(bytes, 'etc/y'), undefined);
    await assert.rejects(findInCpio(bytes, 'etc/x', { maxBytes: 2 }), refusal('CPIO_TOO_LARGE'));
    await assert.rejects(findInCpio(bytes, 'link'), refusal('CPIO_NOT_A_FILE'));
  });
});
