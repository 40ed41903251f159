import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { lstat, mkdir, readFile, readlink, symlink, utimes, writeFile } from 'node:fs/promises';
import { type CpioEntry, cpio, readCpio } from '../src/index.ts';
import { gather, tempFolder } from './support.ts';

/** Runs GNU cpio, which the tests need (Debian package `cpio`). Its standard output. */
async function gnuCpio(args: string[], input: Uint8Array, cwd: string): Promise<Buffer> {
  const child = spawn('cpio', ['--quiet', ...args], { cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', (cause) => reject(new Error('GNU cpio cannot be run; install the package cpio', { cause })));
    child.on('close', resolve);
  });
  child.stdin.on('error', () => child.kill());
  child.stdin.end(input);
  const [code, output, errors] = await Promise.all([ended, gather(child.stdout), gather(child.stderr)]);
  assert.equal(code, 0, errors.toString());
  return output;
}

const ENTRIES: CpioEntry[] = [
  { path: 'dir', mode: 0o040750 },
  { path: 'dir/file', mode: 0o100640, data: Buffer.from('content') },
  { path: 'dir/empty', mode: 0o100600 },
  { path: 'dir/a\nb', mode: 0o100644, data: Buffer.from('line break') },
  { path: Buffer.from([0x64, 0x69, 0x72, 0x2f, 0xff, 0xfe]), mode: 0o100644, data: Buffer.from('not UTF-8') },
  { path: 'dir/link', mode: 0o120777, data: Buffer.from('file') },
  { path: 'dir/one', mode: 0o100755, nlink: 3, data: Buffer.from('one file') },
  { path: 'dir/three', mode: 0o100755, hardLinkOf: 'dir/one' },
  { path: 'dir/two', mode: 0o100755, hardLinkOf: 'dir/one' },
  { path: 'large', mode: 0o100644, data: Buffer.alloc(700_001, 'x') },
];

describe('GNU cpio', () => {
  it('lists the names we wrote, as bytes', async () => {
    await using folder = await tempFolder();
    const listed = await gnuCpio(['-it', '--null'], await gather(cpio(ENTRIES)), folder.path);
    const expected = ENTRIES.map(({ path }) => Buffer.concat([Buffer.from(path), Buffer.alloc(1)]));
    assert.deepEqual(listed, Buffer.concat(expected));
  });

  it('unpacks what we wrote: content, modes, links, times', async () => {
    await using folder = await tempFolder();
    await gnuCpio(['-idm', '--no-absolute-filenames'], await gather(cpio(ENTRIES)), folder.path);
    const at = (name: string | Uint8Array): Buffer =>
      Buffer.concat([Buffer.from(`${folder.path}/`), Buffer.from(name)]);
    for (const { path, mode, data } of ENTRIES) {
      const stat = await lstat(at(path as string | Uint8Array));
      assert.equal(stat.mode, mode);
      if ((mode & 0o170000) === 0o100000) {
        assert.equal(stat.mtimeMs, 1000);
        if (data !== undefined) assert.deepEqual(await readFile(at(path)), data);
      }
    }
    assert.equal(await readlink(folder.file('dir/link')), 'file');
    const inodes = await Promise.all(
      ['one', 'two', 'three'].map(async (name) => (await lstat(folder.file(`dir/${name}`))).ino),
    );
    assert.equal(new Set(inodes).size, 1);
    assert.equal(await readFile(folder.file('dir/two'), 'utf8'), 'one file');
  });

  it('writes what we read', async () => {
    await using folder = await tempFolder();
    await mkdir(folder.file('tree'), { mode: 0o755 });
    await writeFile(folder.file('tree/file'), 'content', { mode: 0o644 });
    await utimes(folder.file('tree/file'), 5, 5);
    await symlink('file', folder.file('tree/link'));
    const archive = await gnuCpio(
      ['-o', '-H', 'newc', '--null'],
      Buffer.from('tree\0tree/file\0tree/link\0'),
      folder.path,
    );
    const entries: [string, string, number][] = [];
    for await (const { path, mode, data } of readCpio(archive)) {
      entries.push([path.toString(), (await gather(data)).toString(), mode & 0o170000]);
    }
    assert.deepEqual(entries, [
      ['tree', '', 0o040000],
      ['tree/file', 'content', 0o100000],
      ['tree/link', 'file', 0o120000],
    ]);
  });
});
