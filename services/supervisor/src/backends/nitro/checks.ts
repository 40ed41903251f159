import type { Eif } from '@enclaver/eif';
import type { NitroHost } from './host.ts';
import { NitroError } from './nitro-error.ts';

const MIB = 1024 ** 2;
/** nitro-cli asks for so many times the image (`ENCLAVE_MEMORY_EIF_SIZE_RATIO`), the driver for 64 MiB. */
const EIF_RATIO = 4;
const LEAST_MB = 64;
const ALLOCATOR = '/etc/nitro_enclaves/allocator.yaml';
const RESTART = 'systemctl restart nitro-enclaves-allocator';

/** How enclaves get more of the instance. */
export function allocatorRemedy(setting: 'cpu_count' | 'memory_mib'): string {
  const [less, option] = setting === 'cpu_count' ? ['fewer', '--cpu-count'] : ['less', '--memory-mb'];
  return `raise ${setting} in ${ALLOCATOR} and ${RESTART}, stop another enclave, or give this one ${less}: ${option}`;
}

export interface Wanted {
  cpuCount: number;
  memoryMb: number;
  eif: Pick<Eif, 'arch' | 'size'>;
}

/** CPUs of the pool that running enclaves have, ours and others'. */
export type CpusInUse = number;

/** What nitro-cli and the driver would refuse, said before anything starts, with the figures. */
export function checkWanted(wanted: Wanted, host: NitroHost, inUse: CpusInUse): void {
  checkImage(wanted);
  checkCpus(wanted, host, inUse);
  checkMemory(wanted, host);
}

function checkImage({ eif, memoryMb }: Wanted): void {
  const arch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  if (eif.arch !== arch) {
    throw new NitroError('ARCH_UNSUPPORTED', `the image is for ${eif.arch}; this instance runs ${arch}`, {
      remedy: `build it for this instance: enclaver build --platform linux/${arch === 'x86_64' ? 'amd64' : 'arm64'}`,
    });
  }
  const needMb = Math.max(LEAST_MB, Math.ceil((EIF_RATIO * eif.size) / MIB));
  if (memoryMb >= needMb) return;
  throw new NitroError(
    'MEMORY_TOO_SMALL',
    `${memoryMb} MiB of memory are too few: nitro-cli asks for ${EIF_RATIO} times the image of ${Math.ceil(eif.size / MIB)} MiB, which is ${needMb} MiB`,
    { remedy: `give it more: --memory-mb ${needMb}, or defaults.memory_mb in the manifest` },
  );
}

function checkCpus({ cpuCount }: Wanted, { poolSize, threadsPerCore = 1 }: NitroHost, inUse: CpusInUse): void {
  if (cpuCount % threadsPerCore !== 0) {
    throw new NitroError(
      'NITRO_CPU_PAIRS',
      `${cpuCount} CPUs were asked for; the cores of this instance have ${threadsPerCore} threads, and an enclave gets whole cores`,
      { remedy: `give --cpu-count, or defaults.cpu_count in the manifest, a multiple of ${threadsPerCore}` },
    );
  }
  if (poolSize === undefined || cpuCount <= poolSize - inUse) return;
  throw new NitroError(
    'NITRO_CPUS_SHORT',
    `${cpuCount} CPUs were asked for; the pool of the allocator has ${poolSize}, and other enclaves have ${inUse} of them`,
    { remedy: allocatorRemedy('cpu_count'), passing: true },
  );
}

function checkMemory({ memoryMb }: Wanted, { memory, poolNode, wantedMb }: NitroHost): void {
  if (memory.length === 0) return;
  const usable = memory.filter(({ node }) => poolNode === undefined || node === poolNode);
  const freeMb = usable.reduce((sum, each) => sum + each.freeMb, 0);
  if (memoryMb <= freeMb) return;
  const elsewhere = memory.reduce((sum, each) => sum + each.freeMb, 0) - freeMb;
  const node =
    poolNode === undefined || memory.length === 1 ? '' : ` on NUMA node ${poolNode}, where the CPUs of the pool are`;
  const away = elsewhere === 0 ? '' : `; ${elsewhere} MiB are free on other nodes, and no use to an enclave`;
  const totalMb = usable.reduce((sum, each) => sum + each.totalMb, 0);
  const fewer =
    wantedMb === undefined || wantedMb <= totalMb
      ? ''
      : `; allocator.yaml asks for ${wantedMb} MiB, which the kernel did not find in one piece: restart the allocator right after a boot`;
  throw new NitroError(
    'NITRO_MEMORY_SHORT',
    `${memoryMb} MiB were asked for; ${freeMb} of ${totalMb} MiB of huge pages are free${node}${away}${fewer}`,
    { remedy: allocatorRemedy('memory_mib'), passing: true },
  );
}
