import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { tempFolder } from './support.ts';

const run = promisify(execFile);

/** Packs a tree with files, a link, a directory and names that locales sort differently, then writes an image of it. */
const PROGRAM = `
import { cpio, writeEif } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)};
const shift = Number(process.env.CLOCK_SHIFT_MS);
const now = Date.now;
Date.now = () => now() + shift;
process.umask(Number.parseInt(process.env.UMASK, 8));
const entries = [
  { path: 'rootfs', mode: 0o040755 },
  { path: 'rootfs/Z', mode: 0o100644, data: Buffer.from('z') },
  { path: 'rootfs/a', mode: 0o100600, uid: 1000, gid: 1000, nlink: 2, data: Buffer.from('a') },
  { path: 'rootfs/ä', mode: 0o120777, data: Buffer.from('a') },
  { path: 'rootfs/ż', mode: 0o100600, uid: 1000, gid: 1000, hardLinkOf: 'rootfs/a' },
];
const written = await writeEif(process.argv[2], {
  arch: 'x86_64',
  kernel: Buffer.from('kernel'),
  cmdline: 'console=ttyS0',
  ramdisks: [cpio([]), cpio(entries)],
  metadata: {
    ImageName: 'x', ImageVersion: '1', DockerInfo: null, CustomMetadata: null,
    BuildMetadata: { BuildTime: '1970-01-01T00:00:01+00:00', BuildTool: 't', BuildToolVersion: '0', OperatingSystem: 'Linux', KernelVersion: '6' },
  },
});
console.log(JSON.stringify(written));
`;

describe('determinism', () => {
  it('gives the same bytes under another umask, time zone, locale, clock and folder', async () => {
    await using folder = await tempFolder();
    await writeFile(folder.file('program.mjs'), PROGRAM);
    const surroundings = [
      { UMASK: '022', TZ: 'UTC', LC_ALL: 'C', LANG: 'C', CLOCK_SHIFT_MS: '0', cwd: 'a' },
      {
        UMASK: '077',
        TZ: 'Asia/Kathmandu',
        LC_ALL: 'tr_TR.UTF-8',
        LANG: 'tr_TR.UTF-8',
        CLOCK_SHIFT_MS: '1e11',
        cwd: 'b',
      },
      {
        UMASK: '000',
        TZ: 'America/St_Johns',
        LC_ALL: 'pl_PL.UTF-8',
        LANG: 'pl_PL.UTF-8',
        CLOCK_SHIFT_MS: '-1e12',
        cwd: 'c',
      },
    ];
    const outcomes = await Promise.all(
      surroundings.map(async ({ cwd, ...env }) => {
        await mkdir(folder.file(cwd));
        const image = folder.file(`${cwd}/image-${cwd}`);
        const { stdout } = await run(process.execPath, [folder.file('program.mjs'), image], {
          cwd: folder.file(cwd),
          env: { PATH: process.env.PATH, ...env },
        });
        return { stdout, bytes: (await readFile(image)).toString('hex') };
      }),
    );
    assert.deepEqual(outcomes[1], outcomes[0]);
    assert.deepEqual(outcomes[2], outcomes[0]);
  });
});
