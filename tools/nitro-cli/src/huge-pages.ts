import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from './errors.ts';
import { list, read } from './parent.ts';

const NODES = 'sys/devices/system/node';

/** Huge pages of one size on one NUMA node. */
export interface Pages {
  node: number;
  sizeMb: number;
  count: number;
}

/** All pages of the parent, the largest first. */
export function allPages(root: string): Pages[] {
  const pages = list(root, NODES).flatMap((name) => {
    const node = /^node(\d+)$/.exec(name)?.[1];
    if (node === undefined) return [];
    return list(root, `${NODES}/${name}/hugepages`).map((size) => ({
      node: Number(node),
      sizeMb: Number(/^hugepages-(\d+)kB$/.exec(size)?.[1] ?? 0) / 1024,
      count: Number(read(root, `${NODES}/${name}/hugepages/${size}/nr_hugepages`) ?? 0),
    }));
  });
  return pages.toSorted((a, b) => b.sizeMb - a.sizeMb);
}

/** What is left of `all` without what the claims hold. */
export function freePages(all: readonly Pages[], claimed: readonly Pages[]): Pages[] {
  return all.map(({ node, sizeMb, count }) => {
    const taken = claimed.filter((each) => each.node === node && each.sizeMb === sizeMb);
    return { node, sizeMb, count: count - taken.reduce((sum, each) => sum + each.count, 0) };
  });
}

/** The kernel's own figures follow what is claimed. */
export function writeFree(root: string, free: readonly Pages[]): void {
  for (const { node, sizeMb, count } of free) {
    const folder = `${NODES}/node${node}/hugepages/hugepages-${sizeMb * 1024}kB`;
    writeFileSync(join(root, folder, 'free_hugepages'), `${count}\n`);
  }
}

/**
 * Takes pages as nitro-cli does: from large to small without going over, then from small to large for what is missing. Those of
 * the pool's node come first. E27 when they do not suffice, E29 when some are of another node than the CPUs.
 */
export function takePages(free: readonly Pages[], wantedMb: number, poolNode: number): Pages[] {
  const taken = free.map((pages) => ({ ...pages, count: 0 }));
  let missing = wantedMb;
  const near = (index: number): number => (free[index]?.node === poolNode ? 0 : 1);
  const order = free.map((_, index) => index).toSorted((a, b) => near(a) - near(b));
  const take = (index: number, fits: (sizeMb: number) => boolean): void => {
    const from = free[index] as Pages;
    const to = taken[index] as Pages;
    while (to.count < from.count && missing > 0 && fits(from.sizeMb)) {
      to.count += 1;
      missing -= from.sizeMb;
    }
  };
  for (const index of order) take(index, (sizeMb) => sizeMb <= missing);
  for (const index of order.toReversed()) take(index, () => true);
  if (missing > 0) {
    throw new Failure(27, `\`memory\` is ${wantedMb} MB, and ${missing} MB are missing.`, [
      'Failed to allocate enclave memory',
      `Failed to allocate entire memory (${missing} MB remained)`,
    ]);
  }
  const used = taken.filter(({ count }) => count > 0);
  if (used.some(({ node }) => node !== poolNode)) {
    throw new Failure(29, '', [
      'Set user memory region ioctl failed',
      "The memory region's pages and the CPUs belong to different NUMA nodes",
    ]);
  }
  return used;
}
