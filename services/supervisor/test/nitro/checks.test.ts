import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { checkWanted } from '../../src/backends/nitro/checks.ts';
import { cpuList, readHost } from '../../src/backends/nitro/host.ts';

const MIB = 1024 ** 2;
const arch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
const wanted = { cpuCount: 2, memoryMb: 1024, eif: { arch, size: 200 * MIB } } as const;

describe('a parent instance', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'enclaver-parent-'));
    await write('etc/nitro_enclaves/allocator.yaml', '---\n# MiB\nmemory_mib: 4096\ncpu_count: 4\n');
    await write('sys/module/nitro_enclaves/parameters/ne_cpus', '2-3,6-7\n');
    await write('sys/devices/system/cpu/cpu0/topology/thread_siblings_list', '0,4\n');
    await node(0, { '2048kB': [256, 256] }, ['cpu0', 'cpu1']);
    await node(1, { '2048kB': [512, 128], '1048576kB': [2, 1] }, ['cpu2', 'cpu3', 'cpu6', 'cpu7']);
  });

  afterEach(() => rm(root, { recursive: true }));

  async function write(path: string, text: string): Promise<void> {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }

  /** Pages of each size: all, and free. */
  async function node(id: number, pages: Record<string, [number, number]>, cpus: string[]): Promise<void> {
    const folder = `sys/devices/system/node/node${id}`;
    for (const [size, [all, free]] of Object.entries(pages)) {
      await write(`${folder}/hugepages/hugepages-${size}/nr_hugepages`, `${all}\n`);
      await write(`${folder}/hugepages/hugepages-${size}/free_hugepages`, `${free}\n`);
    }
    for (const cpu of cpus) await mkdir(join(root, folder, cpu), { recursive: true });
  }

  it('is read from the kernel: pool, its NUMA node, threads of a core, huge pages of each node', () => {
    assert.deepEqual(readHost(root), {
      poolSize: 4,
      wantedMb: 4096,
      poolNode: 1,
      threadsPerCore: 2,
      memory: [
        { node: 0, totalMb: 512, freeMb: 512 },
        { node: 1, totalMb: 3072, freeMb: 1280 },
      ],
    });
    assert.deepEqual(cpuList('1,3-5'), [1, 3, 4, 5]);
    assert.deepEqual(cpuList(''), []);
  });

  it('is not judged by what cannot be read', async () => {
    await rm(join(root, 'sys'), { recursive: true });
    await rm(join(root, 'etc'), { recursive: true });
    const host = readHost(root);
    const nothing = { poolSize: undefined, wantedMb: undefined, poolNode: undefined, threadsPerCore: undefined };
    assert.deepEqual(host, { ...nothing, memory: [] });
    checkWanted({ ...wanted, cpuCount: 3 }, host, 0);
  });

  it('has the pool of the allocator where the list of the kernel is for root only', async () => {
    await rm(join(root, 'sys/module'), { recursive: true });
    assert.equal(readHost(root).poolSize, 4);
    await write('etc/nitro_enclaves/allocator.yaml', 'memory_mib: 512\ncpu_pool: 2,3,6-7\n');
    assert.deepEqual([readHost(root).poolSize, readHost(root).poolNode], [4, 1]);
  });

  it('takes what fits', () => {
    checkWanted(wanted, readHost(root), 2);
  });

  for (const [what, change, inUse, code, words] of [
    [
      'less than four times the image',
      { memoryMb: 799 },
      0,
      'MEMORY_TOO_SMALL',
      /799 MiB.*4 times the image of 200 MiB.*800 MiB/,
    ],
    ['less than 64 MiB', { memoryMb: 63, eif: { arch, size: 1 } }, 0, 'MEMORY_TOO_SMALL', /64 MiB/],
    ['half a core', { cpuCount: 3 }, 0, 'NITRO_CPU_PAIRS', /3 CPUs.*2 threads/],
    ['more CPUs than are left', { cpuCount: 4 }, 2, 'NITRO_CPUS_SHORT', /4 CPUs.*has 4.*have 2 of them/],
    [
      'memory that another node has',
      { memoryMb: 1282 },
      0,
      'NITRO_MEMORY_SHORT',
      /1280 of 3072 MiB of huge pages are free on NUMA node 1.*512 MiB are free on other nodes.*allocator\.yaml asks for 4096 MiB/,
    ],
    [
      'an image for another processor',
      { eif: { arch: arch === 'aarch64' ? 'x86_64' : 'aarch64', size: 1 } },
      0,
      'ARCH_UNSUPPORTED',
      new RegExp(`runs ${arch}`),
    ],
  ] as const) {
    it(`refuses ${what}, with the figures`, () => {
      assert.throws(() => checkWanted({ ...wanted, ...change }, readHost(root), inUse), { code, message: words });
    });
  }
});
