import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const MIB = 1024 ** 2;

/** Memory of one NUMA node in huge pages. */
export interface NodeMemory {
  node: number;
  totalMb: number;
  freeMb: number;
}

/** What a parent instance has for enclaves; undefined where the file is not there or not ours to read. */
export interface NitroHost {
  /** CPUs that the allocator has taken from the parent. */
  poolSize: number | undefined;
  /** The NUMA node that the pool is on. */
  poolNode: number | undefined;
  memory: readonly NodeMemory[];
  /** What allocator.yaml asks for; the kernel may have given less. */
  wantedMb: number | undefined;
  threadsPerCore: number | undefined;
}

/**
 * Reads it from the kernel (Documentation/virt/ne_overview.rst, Documentation/admin-guide/mm/hugetlbpage.rst). `root` is `/`, or
 * the folder that stands for it with an emulated nitro-cli.
 */
export function readHost(root: string): NitroHost {
  const allocator = read(root, 'etc/nitro_enclaves/allocator.yaml') ?? '';
  // The kernel's list is for root only, the allocator's file for everybody
  const pool = cpuList(read(root, 'sys/module/nitro_enclaves/parameters/ne_cpus') ?? setting(allocator, 'cpu_pool'));
  // The CPUs of the pool are offline and have no topology; CPU 0 never is in it, and all cores are alike
  const siblings = cpuList(read(root, 'sys/devices/system/cpu/cpu0/topology/thread_siblings_list'));
  const nodes = list(root, 'sys/devices/system/node').flatMap((name) => /^node(\d+)$/.exec(name)?.[1] ?? []);
  const first = pool?.[0];
  const onNode = (node: string) => list(root, `sys/devices/system/node/node${node}`).includes(`cpu${first}`);
  const poolNode = first === undefined ? undefined : nodes.find(onNode);
  return {
    poolSize: pool?.length ?? numberOf(setting(allocator, 'cpu_count')),
    wantedMb: numberOf(setting(allocator, 'memory_mib')),
    poolNode: poolNode === undefined ? undefined : Number(poolNode),
    memory: nodes.map((node) => nodeMemory(root, node)),
    threadsPerCore: siblings?.length,
  };
}

/** A key of allocator.yaml, which is a flat list of scalars. */
function setting(allocator: string, key: string): string | undefined {
  return new RegExp(`^${key}:\\s*["']?([\\d,-]+)`, 'm').exec(allocator)?.[1];
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

/** "2,3" or "2-5", the form of the kernel's lists and of the allocator; undefined for no text at all. */
export function cpuList(text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  return text
    .trim()
    .split(',')
    .filter((part) => /^\d{1,5}(-\d{1,5})?$/.test(part))
    .flatMap((part) => {
      const [from = 0, to = from] = part.split('-').map(Number);
      return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
    });
}

function nodeMemory(root: string, node: string): NodeMemory {
  const folder = `sys/devices/system/node/node${node}/hugepages`;
  let totalMb = 0;
  let freeMb = 0;
  for (const size of list(root, folder)) {
    const kib = Number(/^hugepages-(\d+)kB$/.exec(size)?.[1] ?? 0);
    totalMb += (Number(read(root, join(folder, size, 'nr_hugepages')) ?? 0) * kib * 1024) / MIB;
    freeMb += (Number(read(root, join(folder, size, 'free_hugepages')) ?? 0) * kib * 1024) / MIB;
  }
  return { node: Number(node), totalMb: Math.floor(totalMb), freeMb: Math.floor(freeMb) };
}

function read(root: string, path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8').trim();
  } catch {
    // Not there without the driver, or for root only: then it is not known
    return undefined;
  }
}

function list(root: string, path: string): string[] {
  try {
    return readdirSync(join(root, path));
  } catch {
    // As above
    return [];
  }
}
