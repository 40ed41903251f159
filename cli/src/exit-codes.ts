import { endExitCodes } from '@enclaver/bus';

/** Exit codes of the command; 107 to 109 are those of the original's `enclaver-run`. */
export const exitCodes = {
  ...endExitCodes,
  usage: 2,
  interrupted: 109,
  /** `run --verify-before-run`: the image is not the expected one. Nothing was started. */
  untrusted: 110,
  /** Of `enclaver eif diff`, as of diff(1): the files differ; they could not be compared. */
  different: 1,
  trouble: 2,
} as const;

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
