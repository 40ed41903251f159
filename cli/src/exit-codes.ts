import type { EnclaveResult } from '@enclaver/bus';

/** Exit codes of the command; 107 to 109 are those of the original's `enclaver-run`. */
export const exitCodes = {
  failure: 1,
  usage: 2,
  signaled: 107,
  fatal: 108,
  interrupted: 109,
  /** `run --verify-before-run`: the image is not the expected one. Nothing was started. */
  untrusted: 110,
  /** Of `enclaver eif diff`, as of diff(1): the files differ; they could not be compared. */
  different: 1,
  trouble: 2,
} as const;

/** Exit code of `enclaver run` for the way an enclave ended: the app's own code where it had one. */
export function exitCodeOf(result: EnclaveResult): number {
  switch (result.kind) {
    case 'exited':
      return result.code & 0xff;
    case 'signaled':
      return exitCodes.signaled;
    case 'fatal':
      return exitCodes.fatal;
    default:
      return exitCodes.failure;
  }
}

/** Exit code of a command for the error that ended it. */
export function exitCodeOfError(error: unknown): number {
  switch ((error as { code?: unknown }).code) {
    case 'USAGE':
      return exitCodes.usage;
    case 'MEASUREMENTS_DIFFER':
      return exitCodes.untrusted;
    default:
      return exitCodes.failure;
  }
}
