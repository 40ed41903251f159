import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OdynError } from '../odyn-error.ts';

export interface CgroupLimits {
  readonly memoryBytes: number;
  readonly pids: number;
}

/**
 * The cgroup (version 2) that the app and all it starts are in: what they take more than its bounds is refused to them or ends
 * one of them, and nothing of it reaches odyn.
 */
export class AppCgroup {
  /** Its folder, as odyn sees it. */
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * @param tree where the kernel's cgroups are mounted
   * @returns undefined where the kernel has no such cgroups
   * @throws OdynError CGROUP
   */
  static make(tree: string, { memoryBytes, pids }: CgroupLimits): AppCgroup | undefined {
    const controllers = join(tree, 'cgroup.controllers');
    if (!existsSync(controllers)) return undefined;
    const has = readFileSync(controllers, 'utf8').trim().split(' ');
    if (!['memory', 'pids'].every((name) => has.includes(name))) return undefined;
    const path = join(tree, 'app');
    try {
      writeFileSync(join(tree, 'cgroup.subtree_control'), '+memory +pids');
      mkdirSync(path);
      writeFileSync(join(path, 'memory.max'), `${memoryBytes}`);
      writeFileSync(join(path, 'pids.max'), `${pids}`);
    } catch (cause) {
      throw new OdynError('CGROUP', `the app cannot be given its bounds: ${(cause as Error).message}`, { cause });
    }
    return new AppCgroup(path);
  }

  /** How many of its processes the kernel has ended for want of memory, its own or the machine's. */
  memoryKills(): number {
    const events = readFileSync(join(this.path, 'memory.events'), 'utf8');
    return Number(/^oom_kill (\d+)$/m.exec(events)?.[1] ?? 0);
  }

  /** Ends whatever is in it. */
  kill(): void {
    writeFileSync(join(this.path, 'cgroup.kill'), '1');
  }
}
