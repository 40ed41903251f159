import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { Failure } from './errors.ts';
import { allPages, freePages, type Pages, takePages, writeFree } from './huge-pages.ts';
import { hold } from './lock.ts';
import { list, type Parent, read } from './parent.ts';

const claimSchema = z.object({
  cpus: z.array(z.number()),
  cid: z.number(),
  pages: z.array(z.object({ node: z.number(), sizeMb: z.number(), count: z.number() })),
});

/** What one enclave has of the parent. */
export type Claim = z.infer<typeof claimSchema>;

export interface Wanted {
  memoryMb: number;
  cpus: { count: number } | { ids: readonly number[] };
  /** 0 chooses one. */
  cid: number;
}

/**
 * CPUs, huge pages and CIDs of the parent. Each enclave process holds a claim in a file of its id; the claim of a process that has
 * ended, however it ended, is void.
 */
export class Pool {
  readonly #parent: Parent;

  constructor(parent: Parent) {
    this.#parent = parent;
  }

  /** Claims for this process. Failures are those of the allocation in nitro-cli and of the driver. */
  async claim(wanted: Wanted): Promise<Claim> {
    return this.#locked((others) => {
      const { root, claims } = this.#parent;
      const pool = cpuPool(root);
      checkCpus(pool, wanted.cpus);
      const poolNode = nodeOf(root, pool[0]);
      const free = freePages(
        allPages(root),
        others.flatMap(({ pages }) => pages),
      );
      const pages = takePages(free, wanted.memoryMb, poolNode);
      const cpus = takeCpus(pool, new Set(others.flatMap((claim) => claim.cpus)), wanted.cpus, threadsPerCore(root));
      const claim = { cpus, pages, cid: takeCid(wanted.cid, new Set(others.map(({ cid }) => cid))) };
      writeFileSync(join(claims, `${process.pid}.json`), JSON.stringify(claim));
      return claim;
    });
  }

  async release(): Promise<void> {
    await this.#locked(() => rmSync(join(this.#parent.claims, `${process.pid}.json`), { force: true }));
  }

  /** Lets the kernel's figures follow what has ended without a word. */
  async refresh(): Promise<void> {
    await this.#locked(() => undefined);
  }

  async #locked<T>(act: (others: Claim[]) => T): Promise<T> {
    const { root } = this.#parent;
    const lock = await hold(root, 'pool');
    try {
      return act(this.#live());
    } finally {
      writeFree(
        root,
        freePages(
          allPages(root),
          this.#live().flatMap(({ pages }) => pages),
        ),
      );
      lock.release();
    }
  }

  #live(): Claim[] {
    const { claims } = this.#parent;
    mkdirSync(claims, { recursive: true });
    return readdirSync(claims).flatMap((name) => {
      const file = join(claims, name);
      if (isAlive(Number.parseInt(name, 10))) return [claimSchema.parse(JSON.parse(readFileSync(file, 'utf8')))];
      rmSync(file, { force: true });
      return [];
    });
  }
}

export function memoryOf({ pages }: Pick<Claim, 'pages'>): number {
  return pages.reduce((sum, { sizeMb, count }: Pages) => sum + sizeMb * count, 0);
}

/** What nitro-cli itself compares with the pool, whoever has its CPUs. */
function checkCpus(pool: readonly number[], wanted: Wanted['cpus']): void {
  if ('count' in wanted) {
    if (wanted.count <= pool.length) return;
    throw new Failure(22, `\`cpu-count\` is ${wanted.count}; the pool has ${pool.length}.`);
  }
  const { ids } = wanted;
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) throw new Failure(20, `\`cpu-ids\` has CPU ${twice} twice.`);
  const strange = ids.find((id) => !pool.includes(id));
  if (strange !== undefined) throw new Failure(21, `\`cpu-ids\` has CPU ${strange}.`);
}

/** What the driver looks at. */
function takeCpus(pool: readonly number[], used: Set<number>, wanted: Wanted['cpus'], threads: number): number[] {
  if ('ids' in wanted && wanted.ids.some((id) => used.has(id))) {
    throw driver('Add vCPU ioctl failed', 'The provided vCPU is already used');
  }
  const count = 'ids' in wanted ? wanted.ids.length : wanted.count;
  const free = pool.filter((cpu) => !used.has(cpu));
  if (free.length < count) {
    throw driver('Add vCPU ioctl failed', 'The enclave cannot be created because no CPUs are available in the pool');
  }
  if (count % threads !== 0) {
    throw driver('Start enclave ioctl failed', 'The enclave cannot start because full CPU cores have not been set');
  }
  return 'ids' in wanted ? [...wanted.ids] : free.slice(0, count);
}

function takeCid(wanted: number, used: Set<number>): number {
  if (wanted === 0) {
    let cid = 16;
    while (used.has(cid)) cid += 1;
    return cid;
  }
  if (wanted < 4 || wanted >= 0xffffffff) {
    throw driver(
      'Start enclave ioctl failed',
      'The provided enclave CID is invalid, being a well-known CID or the parent VM CID',
    );
  }
  if (used.has(wanted)) throw driver('Start enclave ioctl failed', 'An error has occurred: 22 (rc: -1)');
  return wanted;
}

function driver(step: string, words: string): Failure {
  return new Failure(29, '', [step, words]);
}

function cpuPool(root: string): number[] {
  const text = read(root, 'sys/module/nitro_enclaves/parameters/ne_cpus') ?? '';
  return text.split(',').flatMap((part) => {
    if (part === '') return [];
    if (!/^\d+(-\d+)?$/.test(part)) throw new Failure(24, `\`${part}\``);
    const [from = 0, to = from] = part.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
}

function threadsPerCore(root: string): number {
  return /[,-]/.test(read(root, 'sys/devices/system/cpu/cpu0/topology/thread_siblings_list') ?? '') ? 2 : 1;
}

function nodeOf(root: string, cpu: number | undefined): number {
  const nodes = list(root, 'sys/devices/system/node').flatMap((name) => /^node(\d+)$/.exec(name)?.[1] ?? []);
  return Number(nodes.find((node) => list(root, `sys/devices/system/node/node${node}`).includes(`cpu${cpu}`)) ?? 0);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
