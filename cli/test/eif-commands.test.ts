import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { type CpioEntry, cpio, type EifContents, S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG, writeEif } from '@enclaver/eif';
import { smallImage } from '../../libs/eif/test/support.ts';
import { eif, eifText, tempFolder } from './eif-support.ts';

const command = new URL('../bin/enclaver', import.meta.url).pathname;
const folder = (path: string): CpioEntry => ({ path, mode: S_IFDIR | 0o755 });
const file = (path: string | Buffer, text: string, mode = 0o644): CpioEntry => ({
  path,
  mode: S_IFREG | mode,
  data: Buffer.from(text),
});

const app: CpioEntry[] = [
  folder('rootfs'),
  folder('rootfs/etc'),
  folder('rootfs/etc/enclaver'),
  file('rootfs/etc/enclaver/enclaver.yaml', 'version: v1\n'),
  { path: 'rootfs/etc/link', mode: S_IFLNK | 0o777, data: Buffer.from('../../../etc/passwd') },
  { path: 'rootfs/null', mode: S_IFCHR | 0o666, rdev: { major: 1, minor: 3 } },
  { ...file('rootfs/sudo', 'root', 0o4755), uid: 10, gid: 20, nlink: 2 },
  { path: 'rootfs/sudo2', mode: S_IFREG | 0o4755, uid: 10, gid: 20, hardLinkOf: 'rootfs/sudo' },
  file(Buffer.from('rootfs/caf\xe9\n', 'latin1'), 'odd'),
  file('launch.json', '{}'),
];

async function writeImage(path: string, changes: Partial<EifContents> = {}): Promise<string> {
  const ramdisks = [cpio([file('init', 'program', 0o755)]), cpio(app)];
  await writeEif(path, smallImage({ ramdisks, ...changes }));
  return path;
}

describe('enclaver eif', function () {
  this.timeout(60_000);

  it('lists the files of all ramdisks, of one, of a path, and with all that a name has', async () => {
    await using temp = await tempFolder();
    const image = await writeImage(temp.file('image.eif'));
    const lines = (text: string): string[] => text.split('\n').slice(0, -1);
    assert.deepEqual(lines(await eifText('ls', image)).slice(0, 3), ['init', 'rootfs', 'rootfs/etc']);
    assert.equal(await eifText('ls', image, '--ramdisk', '0'), 'init\n');
    assert.deepEqual(lines(await eifText('ls', image, '/etc/enclaver/', 'launch.json')), [
      'rootfs/etc/enclaver',
      'rootfs/etc/enclaver/enclaver.yaml',
      'launch.json',
    ]);
    assert.deepEqual(lines(await eifText('ls', '-l', image, '--ramdisk', '1')).slice(3), [
      '1 -rw-r--r-- 0/0               12 rootfs/etc/enclaver/enclaver.yaml',
      '1 lrwxrwxrwx 0/0               19 rootfs/etc/link -> ../../../etc/passwd',
      '1 crw-rw-rw- 0/0              1,3 rootfs/null',
      '1 -rwsr-xr-x 10/20              4 rootfs/sudo',
      '1 -rwsr-xr-x 10/20              0 rootfs/sudo2 link to rootfs/sudo',
      '1 -rw-r--r-- 0/0                3 rootfs/caf\\xe9\\n',
      '1 -rw-r--r-- 0/0                2 launch.json',
    ]);
    const entries = lines(await eifText('ls', '-o', 'json', image)).map((line) => JSON.parse(line));
    assert.equal(entries.length, app.length + 1);
    const odd = entries.find(({ pathBase64 }) => pathBase64 !== undefined);
    assert.equal(Buffer.from(odd.pathBase64, 'base64').toString('latin1'), 'rootfs/caf\xe9\n');
    assert.deepEqual(entries.find(({ path }) => path === 'rootfs/null').rdev, { major: 1, minor: 3 });
  });

  it('says which file is not there', async () => {
    await using temp = await tempFolder();
    const image = await writeImage(temp.file('image.eif'));
    for (const args of [
      ['ls', image, '/etc/nope'],
      ['ls', image, '--ramdisk', '2'],
      ['extract', image, 'etc'],
    ]) {
      const { code, stderr } = await eif(...args);
      assert.equal(code, 1);
      assert.match(stderr, /^error\[EIF_NO_SUCH_PART\]: .*\n {2}help: /);
    }
  });

  it('takes files out, also by a name as ls shows it', async () => {
    await using temp = await tempFolder();
    const image = await writeImage(temp.file('image.eif'));
    assert.equal(await eifText('extract', image, '/etc/enclaver/enclaver.yaml'), 'version: v1\n');
    assert.equal(await eifText('extract', image, '/sudo2'), 'root');
    assert.equal(await eifText('extract', image, '/caf\\xe9\\n'), 'odd');
    assert.equal(await eifText('extract', image, 'cmdline'), 'reboot=k console=ttyS0');
    assert.equal(await eifText('extract', image, 'init', '--to', temp.file('init')), '');
    assert.equal(await readFile(temp.file('init'), 'utf8'), 'program');
    // Never with the rights that the image gives it.
    assert.equal((await lstat(temp.file('init'))).mode & 0o7111, 0);
  });

  it('replaces a file, and leaves alone what is none', async () => {
    await using temp = await tempFolder();
    const image = await writeImage(temp.file('image.eif'));
    await writeFile(temp.file('old'), 'old');
    await eifText('extract', image, 'kernel', '--to', temp.file('old'));
    assert.equal(await readFile(temp.file('old'), 'utf8'), 'kernel');
    await symlink('old', temp.file('link'));
    await mkdir(temp.file('folder'));
    const refused = [
      ['kernel', '--to', temp.file('link')],
      ['kernel', '--to', temp.file('folder')],
      ['kernel', '--to', '/dev/null'],
      ['kernel', '--to', temp.file('nowhere/file')],
      ['--all', temp.file('folder')],
      ['--all', temp.file('link')],
      ['--all', temp.file('nowhere/all')],
    ];
    for (const args of refused) {
      const { code, stderr } = await eif('extract', image, ...args);
      assert.equal(code, 1);
      assert.match(stderr, /^error\[OUTPUT_INVALID\]/, args.join(' '));
    }
    assert.equal(await readlink(temp.file('link')), 'old');
    assert.ok((await lstat('/dev/null')).isCharacterDevice());
    assert.deepEqual((await readdir(temp.path)).sort(), ['folder', 'image.eif', 'link', 'old']);
  });

  it('takes out no link, folder or device, and writes nothing for them', async () => {
    await using temp = await tempFolder();
    const image = await writeImage(temp.file('image.eif'));
    for (const name of ['/etc/link', '/etc', '/null', 'rootfs']) {
      const { code, stdout, stderr } = await eif('extract', image, name, '--to', temp.file('out'));
      assert.deepEqual([code, stdout.length], [1, 0]);
      assert.match(stderr, /^error\[CPIO_NOT_A_FILE\]/);
    }
    assert.deepEqual(await readdir(temp.path), ['image.eif']);
  });

  it('ends as diff(1) does', async () => {
    await using temp = await tempFolder();
    const a = await writeImage(temp.file('a.eif'));
    const b = await writeImage(temp.file('b.eif'), { ramdisks: [cpio([file('init', 'Program', 0o755)]), cpio(app)] });
    const same = await eif('diff', a, a);
    assert.equal(same.code, 0);
    const text = await eif('diff', a, b);
    assert.equal(text.code, 1);
    assert.match(text.stdout.toString(), /^ {2}~ init\n {6}content: from byte 0 on, 7 bytes, sha256 /m);
    assert.match(text.stdout.toString(), /\nPCR0: differs\n.*\n.*\nPCR1: differs\n.*\n.*\nPCR2: same, /);
    const json = await eif('diff', a, b, '-o', 'json');
    assert.equal(json.code, 1);
    const { equal, sections } = JSON.parse(json.stdout.toString());
    assert.equal(equal, false);
    assert.deepEqual(
      sections.filter((section: { equal: boolean }) => !section.equal).map(({ name }: { name: string }) => name),
      ['ramdisk0'],
    );
    assert.equal((await eif('diff', a, temp.file('nope'))).code, 2);
    assert.equal((await eif('diff', a)).code, 2);
  });

  it('says of an image name that another command takes images', async () => {
    for (const args of [
      ['inspect', 'alpine:3.22'],
      ['ls', 'alpine'],
      ['extract', 'a/b:c', 'kernel'],
      ['diff', 'a', 'b'],
    ]) {
      const { code, stderr } = await eif(...args);
      assert.equal(code, args[0] === 'diff' ? 2 : 1);
      assert.match(stderr, /^error\[EIF_NOT_FOUND\]: .*\n {2}help: .*enclaver trust IMAGE\n$/);
    }
  });

  it('reads no pipe, folder or device', async () => {
    await using temp = await tempFolder();
    execFileSync('mkfifo', [temp.file('pipe')]);
    for (const path of [temp.file('pipe'), temp.path, '/dev/zero']) {
      const { code, stderr } = await eif('inspect', path);
      assert.equal(code, 1);
      assert.match(stderr, /^error\[EIF_HEADER\]: .*not a regular file/);
    }
  });

  it('ends quietly when its reader does', async () => {
    await using temp = await tempFolder();
    const many = Array.from({ length: 50_000 }, (_, index) => file(`file-${index}`, ''));
    const image = await writeImage(temp.file('image.eif'), { ramdisks: [cpio(many)] });
    const child = spawn(command, ['eif', 'ls', image], { stdio: ['ignore', 'pipe', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    await once(child.stdout, 'data');
    child.stdout.destroy();
    const [code] = await once(child, 'close');
    assert.equal(stderr, '');
    assert.equal(code, 141);
  });

  it('takes either a part or all of them', async () => {
    for (const args of [['x'], ['x', 'kernel', '--all', 'y'], ['x', '--all', 'y', '--to', 'z']]) {
      const { code, stderr } = await eif('extract', ...args);
      assert.equal(code, 2);
      assert.match(stderr, /^error\[USAGE\]/);
    }
  });
});
