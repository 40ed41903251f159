import { execFile } from 'node:child_process';
import { constants, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Wall clocks of processes, by name, which are moved while these run: `moved-clock.c`. */
export class MovedClocks<Name extends string> implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async make<Name extends string>(names: readonly Name[]): Promise<MovedClocks<Name>> {
    const clocks = new MovedClocks<Name>(await mkdtemp(join(tmpdir(), 'enclaver-clocks-')));
    const source = join(import.meta.dirname, 'moved-clock.c');
    await execute('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', join(clocks.#folder, 'moved-clock'), source]);
    await clocks.move(names, 0);
    return clocks;
  }

  /** Starts a process with the clock of that name. */
  prefix(name: Name): readonly [string, string] {
    return [join(this.#folder, 'moved-clock'), join(this.#folder, name)];
  }

  /** They jump to so much more or less than the true time. */
  async move(names: readonly Name[], ms: number): Promise<void> {
    for (const name of names) {
      // In place: the processes have it in their memory
      const file = await open(join(this.#folder, name), constants.O_RDWR | constants.O_CREAT);
      const nanoseconds = Buffer.alloc(8);
      nanoseconds.writeBigInt64LE(BigInt(ms) * 1_000_000n);
      await file.write(nanoseconds, 0, 8, 0);
      await file.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true });
  }
}
