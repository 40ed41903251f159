import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a command of the scripted program prints, and its exit code. */
export interface Answer {
  stdout?: string;
  stderr?: string;
  code?: number;
  /** Says nothing and does not end until `release`. */
  hangs?: true;
}

/**
 * A program named nitro-cli that answers as it was told and writes down how it was called: for answers that no emulator gives. It
 * is found in front of the PATH until it is disposed of.
 */
export class ScriptedCli implements AsyncDisposable {
  readonly folder: string;
  readonly #path = process.env.PATH;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async install(): Promise<ScriptedCli> {
    const cli = new ScriptedCli(await mkdtemp(join(tmpdir(), 'enclaver-nitro-')));
    // The n-th call of a command gets the n-th answer, and the last one again
    const script = `#!/bin/sh
cd ${cli.folder}/answers/$1 || exit 99
n=$(($(cat count 2>/dev/null || echo 0) + 1)); echo $n > count
while [ ! -d $n ]; do n=$((n - 1)); done
printf '%s\\n' "$@" > ../../last-$1; echo $$ > ../../pid-$1
while [ -e $n/hangs ]; do sleep 0.02; done
cat $n/stdout; cat $n/stderr >&2; exit $(cat $n/code)
`;
    await writeFile(join(cli.folder, 'nitro-cli'), script);
    await chmod(join(cli.folder, 'nitro-cli'), 0o755);
    process.env.PATH = `${cli.folder}:${process.env.PATH}`;
    return cli;
  }

  async answer(command: string, ...answers: Answer[]): Promise<void> {
    await rm(join(this.folder, 'answers', command), { recursive: true, force: true });
    for (const [index, { stdout = '', stderr = '', code = 0, hangs }] of answers.entries()) {
      const folder = join(this.folder, 'answers', command, String(index + 1));
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, 'stdout'), stdout);
      await writeFile(join(folder, 'stderr'), stderr);
      await writeFile(join(folder, 'code'), String(code));
      if (hangs === true) await writeFile(join(folder, 'hangs'), '');
    }
  }

  /** Lets go on what hangs of a command. */
  async release(command: string): Promise<void> {
    const folder = join(this.folder, 'answers', command);
    for (const call of (await readdir(folder)).filter((name) => name !== 'count'))
      await rm(join(folder, call, 'hangs'), { force: true });
  }

  async calls(command: string): Promise<number> {
    return Number(await readFile(join(this.folder, 'answers', command, 'count'), 'utf8').catch(() => '0'));
  }

  /** The process of the last call of a command. */
  async pid(command: string): Promise<number> {
    return Number(await readFile(join(this.folder, `pid-${command}`), 'utf8').catch(() => '0'));
  }

  /** The arguments of the last call of a command. */
  async arguments(command: string): Promise<string[]> {
    return (await readFile(join(this.folder, `last-${command}`), 'utf8')).trimEnd().split('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.env.PATH = this.#path;
    await rm(this.folder, { recursive: true });
  }
}
