import type { EnclaveRecord } from '@enclaver/bus';
import type { Backend, Supply } from '../backends/backend.ts';
import type { Limits } from '../limits.ts';
import { SupervisorError } from '../supervisor-error.ts';

/** Refuses what this host cannot give beside the enclaves in `held`. Errors: `HOST_FULL`. */
export async function checkCapacity(
  backend: Backend,
  asked: Pick<EnclaveRecord, 'cpuCount' | 'memoryMb'>,
  held: readonly EnclaveRecord[],
  limits: Limits,
): Promise<void> {
  const { cpus, memoryMb, enclaves } = await backend.capacity(held);
  const check = (
    supply: Supply | undefined,
    unit: string,
    want: number,
    of: (record: EnclaveRecord) => number,
  ): void => {
    if (supply === undefined) return;
    const left = supply.total - held.reduce((sum, record) => sum + of(record), 0);
    const free = Math.max(0, Math.min(left, supply.free ?? left));
    if (want <= free) return;
    const holders = held.map((record) => `${record.name} (${record.id}) holds ${of(record)}`);
    const more =
      holders.length > limits.namedHolders ? [`${holders.length - limits.namedHolders} more hold the rest`] : [];
    const who = holders.length === 0 ? ['no enclave holds any'] : [...holders.slice(0, limits.namedHolders), ...more];
    const message = `${want} ${unit} asked for, ${free} of ${supply.total} free: ${who.join(', ')}`;
    throw new SupervisorError('HOST_FULL', message, { remedy: supply.remedy });
  };
  check(enclaves, 'enclaves', 1, () => 1);
  check(cpus, 'CPUs', asked.cpuCount, ({ cpuCount }) => cpuCount);
  check(memoryMb, 'MiB of memory', asked.memoryMb, (record) => record.memoryMb);
}
