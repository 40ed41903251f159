import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export interface ParentOptions {
  /** The pool of the allocator. */
  cpus: readonly number[];
  /** Free memory in huge pages of 2 MiB. */
  memoryMb: number;
  threadsPerCore?: 1 | 2;
}

/** Makes the folder of a parent instance with one NUMA node, as the allocator service leaves it. */
export async function makeParent(root: string, { cpus, memoryMb, threadsPerCore = 2 }: ParentOptions): Promise<void> {
  const pages = `${Math.floor(memoryMb / 2)}\n`;
  const node = 'sys/devices/system/node/node0';
  const files = {
    'dev/nitro_enclaves': '',
    'etc/nitro_enclaves/allocator.yaml': `---\nmemory_mib: ${memoryMb}\ncpu_pool: ${cpus.join(',')}\n`,
    'sys/module/nitro_enclaves/parameters/ne_cpus': `${cpus.join(',')}\n`,
    'sys/devices/system/cpu/cpu0/topology/thread_siblings_list': threadsPerCore === 2 ? '0-1\n' : '0\n',
    'sys/devices/virtual/dmi/id/board_asset_tag': 'i-0123456789abcdef0\n',
    [`${node}/hugepages/hugepages-2048kB/nr_hugepages`]: pages,
    [`${node}/hugepages/hugepages-2048kB/free_hugepages`]: pages,
  };
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  for (const cpu of [0, ...cpus]) await mkdir(join(root, node, `cpu${cpu}`), { recursive: true });
  await mkdir(join(root, 'vsock'), { recursive: true });
}
