import type { MachineEnd } from '../backends/backend.ts';
import { SupervisorError } from '../supervisor-error.ts';

/** Why a machine ended, as far as its console and its backend tell. */
export function machineError({ detail }: MachineEnd, console: readonly string[]): SupervisorError {
  const panic = panicOf(console);
  if (panic === undefined) return new SupervisorError('MACHINE_ENDED', detail);
  return new SupervisorError('KERNEL_PANIC', `the enclave's kernel panicked: ${panic}`, {
    remedy: /memory|oom/i.test(panic)
      ? 'give the enclave more memory: --memory-mb, or defaults.memory_mb in the manifest'
      : 'the last lines of its console are in the event',
  });
}

/** What the kernel said when it gave up (Linux `kernel/panic.c`); undefined when it did not. */
function panicOf(lines: readonly string[]): string | undefined {
  const said = lines.map((line) => /Kernel panic - not syncing: (.*)$/.exec(line)?.[1]);
  return said.find((text) => text !== undefined)?.trim();
}
