import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Another revision of this repository, installed and built in a folder of its own for as long as it is used. */
export class Checkout implements AsyncDisposable {
  readonly root: string;
  readonly commit: string;
  readonly #of: string;

  private constructor(root: string, commit: string, of: string) {
    this.root = root;
    this.commit = commit;
    this.#of = of;
  }

  /** Throws where `revision` is none, or has no benchmarks that hand over results. */
  static async of(root: string, revision: string): Promise<Checkout> {
    const git = async (...args: string[]): Promise<string> => (await run('git', ['-C', root, ...args])).stdout.trim();
    const commit = await git('rev-parse', '--verify', '--end-of-options', `${revision}^{commit}`).catch(() => {
      throw new Error(`${revision} is no revision of this repository; name a commit, a branch or a tag`);
    });
    const has = await git('cat-file', '-e', `${commit}:bench/results.ts`).then(
      () => true,
      () => false,
    );
    if (!has) throw new Error(`${revision} is older than the benchmarks that can be compared (bench/results.ts)`);
    const folder = join(await mkdtemp(join(tmpdir(), 'enclaver-against-')), 'checkout');
    await git('worktree', 'add', '--detach', folder, commit);
    const checkout = new Checkout(folder, commit, root);
    try {
      await checkout.#install(root);
    } catch (error) {
      await checkout[Symbol.asyncDispose]();
      throw error;
    }
    return checkout;
  }

  async #install(from: string): Promise<void> {
    const lock = (folder: string): Promise<string> => readFile(join(folder, 'package-lock.json'), 'utf8');
    const same = (await lock(from)) === (await lock(this.root));
    // Links of the same files: packages of ours are relative links in there, and lead into the new folder
    if (same) await run('cp', ['-al', join(from, 'node_modules'), join(this.root, 'node_modules')]);
    else await run('npm', ['ci'], { cwd: this.root });
    const path = `${join(this.root, 'node_modules/.bin')}:${process.env.PATH}`;
    await run('npm', ['run', '--silent', 'build'], { cwd: this.root, env: { ...process.env, PATH: path } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run('git', ['-C', this.#of, 'worktree', 'remove', '--force', this.root]);
    await rm(join(this.root, '..'), { recursive: true });
  }
}
