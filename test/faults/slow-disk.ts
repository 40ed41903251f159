import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, rmdir, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);

const SIZE = 192 * 1024 ** 2;

/**
 * A disk of its own: ext4 on a loop device, where each write waits for the device (`sync`). The kernel can let the processes
 * of a group do so many writes in a second only (cgroup v1, blkio), or none at all (fsfreeze(8)): what writes then hangs.
 */
export class SlowDisk implements AsyncDisposable {
  readonly path: string;
  readonly #folder: string;
  readonly #device: string;
  readonly #number: string;
  readonly #group: string;

  private constructor(folder: string, device: string, number: string) {
    this.#folder = folder;
    this.path = join(folder, 'disk');
    this.#device = device;
    this.#number = number;
    this.#group = `/sys/fs/cgroup/blkio/enclaver-faults-${basename(folder)}`;
  }

  static async make(): Promise<SlowDisk> {
    const folder = await mkdtemp(join(tmpdir(), 'enclaver-slow-disk-'));
    const image = join(folder, 'image');
    await writeFile(image, '');
    await truncate(image, SIZE);
    await execute('mkfs.ext4', ['-q', image]);
    const device = (await execute('losetup', ['--find', '--show', image])).stdout.trim();
    const number = (await execute('stat', ['-c', '%Hr:%Lr', device])).stdout.trim();
    const disk = new SlowDisk(folder, device, number);
    await mkdir(disk.path);
    await execute('mount', ['-o', 'sync', device, disk.path]);
    await mkdir(disk.#group, { recursive: true });
    return disk;
  }

  /** This process does no more than so many writes in a second, for a time. */
  async slow(pid: number, writesPerSecond: number, ms: number): Promise<void> {
    const limit = (writes: number) =>
      writeFile(join(this.#group, 'blkio.throttle.write_iops_device'), `${this.#number} ${writes}`);
    await limit(writesPerSecond);
    await writeFile(join(this.#group, 'cgroup.procs'), `${pid}`);
    await sleep(ms);
    await limit(0);
    await writeFile('/sys/fs/cgroup/blkio/cgroup.procs', `${pid}`);
  }

  /** No write ends, for a time. */
  async hang(ms: number): Promise<void> {
    await execute('fsfreeze', ['--freeze', this.path]);
    await sleep(ms);
    await execute('fsfreeze', ['--unfreeze', this.path]);
  }

  /** When nobody writes any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await rmdir(this.#group);
    await execute('umount', [this.path]);
    await execute('losetup', ['--detach', this.#device]);
    await rm(this.#folder, { recursive: true });
  }
}
