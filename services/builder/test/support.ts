import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Arch, cpio, readCpio, readEif, S_IFDIR, S_IFREG } from '@enclaver/eif';
import { writeOciLayout } from '../../../test/images/image.ts';
import { type TarEntry, tar } from '../../../test/images/tar.ts';
import { buildEnclave } from '../src/build.ts';
import type { BuildOptions, BuildResult } from '../src/build-options.ts';
import { BuilderError, type BuilderErrorCode } from '../src/builder-error.ts';

/** A folder with a runtime, an image at `image`, and data; removed when the scope ends. */
export class Bench implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<Bench> {
    const bench = new Bench(await mkdtemp(join(tmpdir(), 'builder-test-')));
    for (const arch of ['x86_64', 'aarch64'] as const) await writeRuntime(bench.file('runtime'), arch);
    return bench;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  get dataDir(): string {
    return this.file('data');
  }

  /** Builds `oci:./image` to `app.eif` unless told otherwise. */
  build(options: Partial<BuildOptions> = {}): Promise<BuildResult> {
    return buildEnclave({
      manifest: manifest(),
      manifestFile: 'enclaver.yaml',
      contextDir: this.path,
      eifOnly: this.file('app.eif'),
      dataDir: this.dataDir,
      runtime: this.file('runtime'),
      ...options,
    });
  }

  /** Writes an image of these layers to `image` and builds it. */
  async buildLayers(...layers: TarEntry[][]): Promise<BuildResult> {
    await this.writeImage(...layers);
    return this.build();
  }

  async writeImage(...layers: TarEntry[][]): Promise<void> {
    const image = { layers: layers.map((entries) => tar(entries)), config: { Cmd: ['/app'] } };
    await writeOciLayout(this.file('image'), [{ image }]);
  }

  /** Everything below the data folder and the names beside it that a failed build might leave. */
  async leavings(): Promise<string[]> {
    const names = await readdir(this.path, { recursive: true });
    const folders = ['data', 'data/eif', 'data/work', 'image', 'runtime'];
    return names.filter((name) => !folders.includes(name) && !/^(image|runtime)\//.test(name)).sort();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.path, { recursive: true });
  }
}

export function manifest(app = 'oci:./image', rest = ''): string {
  return `version: v1\nname: test\ntarget: enclaver-test/release:latest\nsources:\n  app: ${app}\n${rest}`;
}

/** The smallest folders that pass for runtimes; the kernel names its architecture. */
export async function writeRuntime(root: string, arch: Arch, content = 'not a real init'): Promise<void> {
  const folder = join(root, arch);
  await mkdir(folder, { recursive: true });
  const init = Buffer.from(content);
  const entries = [
    { path: 'dev', mode: S_IFDIR | 0o755 },
    { path: 'init', mode: S_IFREG | 0o755, data: init },
  ];
  const pieces: Buffer[] = [];
  for await (const piece of cpio(entries)) pieces.push(Buffer.from(piece));
  const sha256 = createHash('sha256').update(init).digest('hex');
  await writeFile(join(folder, 'kernel'), `not a real kernel for ${arch}`);
  await writeFile(join(folder, 'cmdline'), 'console=ttyS0\n');
  await writeFile(join(folder, 'ramdisk0.cpio'), Buffer.concat(pieces));
  await writeFile(
    join(folder, 'runtime.json'),
    JSON.stringify({
      arch,
      enclaverVersion: '0.0.0-test',
      kernelVersion: '6.0-test',
      nodeVersion: '24.0.0',
      toolchain: ['gcc (test) 1.0'],
      parts: [{ path: 'init', size: init.length, sha256, mode: 0o755 }],
    }),
  );
}

export interface RamdiskEntry {
  path: string;
  /** File type and permissions in octal. */
  mode: string;
  uid: number;
  gid: number;
  nlink: number;
  ino: number;
  data: string;
  rdev: string;
}

/** Ramdisk 1 of an EIF, names and data as latin1, in its order. */
export async function readRamdisk(path: string): Promise<RamdiskEntry[]> {
  const eif = await readEif(path);
  const section = eif.sections.filter(({ type }) => type === 'ramdisk')[1];
  if (section === undefined) throw new Error('the EIF has no second ramdisk');
  const entries: RamdiskEntry[] = [];
  for await (const entry of readCpio(eif.data(section))) {
    const pieces: Buffer[] = [];
    for await (const piece of entry.data) pieces.push(Buffer.from(piece));
    entries.push({
      path: entry.path.toString('latin1'),
      mode: entry.mode.toString(8),
      uid: entry.uid,
      gid: entry.gid,
      nlink: entry.nlink,
      ino: entry.ino,
      data: Buffer.concat(pieces).toString('latin1'),
      rdev: `${entry.rdev.major}:${entry.rdev.minor}`,
    });
  }
  return entries;
}

/** What every ramdisk has besides the image's own files. */
const OURS = /^(rootfs|launch\.json|rootfs\/(dev|proc|run|sys|tmp|etc|etc\/enclaver|etc\/enclaver\/enclaver\.yaml))$/;

/** The image's files as `path mode uid:gid data`, sorted as in the ramdisk. */
export function lines(entries: readonly RamdiskEntry[]): string[] {
  return entries
    .filter(({ path }) => !OURS.test(path))
    .map(({ path, mode, uid, gid, data, rdev }) => {
      const device = /^[26]/.test(mode.padStart(6, '0').slice(1)) && data === '' && rdev !== '0:0' ? ` ${rdev}` : '';
      return `${path.replace(/^rootfs\//, '')} ${mode} ${uid}:${gid}${device}${data === '' ? '' : ` ${data}`}`;
    });
}

export function refusal(code: BuilderErrorCode, text?: RegExp): (error: unknown) => true {
  return (error) => {
    if (!(error instanceof BuilderError)) throw error;
    if (error.code !== code) throw new Error(`expected ${code}, got ${error.code}: ${error.message}`);
    if (text?.test(error.message) === false) throw new Error(`message does not match ${text}: ${error.message}`);
    if (error.remedy === undefined) throw new Error(`${code} has no remedy`);
    return true;
  };
}
