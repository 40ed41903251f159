import { writeFileSync } from 'node:fs';
import { OdynError } from '../odyn-error.ts';
import { readWord, type System } from '../system/system.ts';

/** The hypervisor's clock for guests on x86: it knows when the processor's counter was changed under the guest. */
const KVM_CLOCK = 'kvm-clock';

/**
 * Takes kvm-clock where there is one (Linux prefers the counter alone where that looks steady), and gives the name of what is
 * in use then. aarch64 and emulated machines have none.
 * @throws OdynError CLOCK_SOURCE when it is there and cannot be had
 */
export function chooseClockSource(system: System): string {
  const available = readWord(system.clockSources).split(/\s+/);
  if (!available.includes(KVM_CLOCK)) return readWord(system.clockSource);
  if (readWord(system.clockSource) !== KVM_CLOCK) writeFileSync(system.clockSource, KVM_CLOCK);
  const current = readWord(system.clockSource);
  if (current === KVM_CLOCK) return current;
  throw new OdynError('CLOCK_SOURCE', `the kernel keeps the clock source ${current}, although ${KVM_CLOCK} is there`, {
    remedy: 'start the enclave again; if it stays, the host offers a clock that Linux does not believe',
  });
}
