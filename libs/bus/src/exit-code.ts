import type { EnclaveResult } from './enclave.ts';

/** Exit codes for ends without one of the app's own: those of the original's `enclaver-run`. */
export const endExitCodes = { signaled: 107, fatal: 108, failure: 1 } as const;

/** Exit code of a process for the way its enclave ended: the app's own code where it had one. */
export function exitCodeOf(result: EnclaveResult): number {
  switch (result.kind) {
    case 'exited':
      return result.code & 0xff;
    case 'signaled':
      return endExitCodes.signaled;
    case 'fatal':
      return endExitCodes.fatal;
    default:
      return endExitCodes.failure;
  }
}
