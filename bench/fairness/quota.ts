import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Short, so that who has used up its part waits for less than a network pauses. */
const PERIOD_US = 20_000;

/** A part of a processor that some processes, and those that they start, cannot exceed (cgroup v1, cpu). */
export class Quota implements Disposable {
  readonly #path: string;

  constructor(name: string, processors: number) {
    this.#path = join('/sys/fs/cgroup/cpu', `enclaver-bench-${name}`);
    if (!existsSync(join(this.#path, '..', 'cpu.cfs_quota_us'))) throw new Error('needs cgroup v1 with `cpu`');
    mkdirSync(this.#path, { recursive: true });
    writeFileSync(join(this.#path, 'cpu.cfs_period_us'), `${PERIOD_US}`);
    writeFileSync(join(this.#path, 'cpu.cfs_quota_us'), `${Math.round(processors * PERIOD_US)}`);
  }

  /** With those that it has started. */
  take(pid: number): void {
    writeFileSync(join(this.#path, 'cgroup.procs'), `${pid}`);
    for (const child of childrenOf(pid)) this.take(child);
  }

  /** Once its processes have ended. */
  [Symbol.dispose](): void {
    rmdirSync(this.#path);
  }
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}
