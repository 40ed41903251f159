import { type Measurements, readEif } from '@enclaver/eif';
import { CliError } from './cli-error.ts';
import type { RunTarget } from './run-target.ts';
import { openOrStartSession } from './session.ts';

/** Measures an EIF's bytes; no label or summary is asked. Errors: `EIF_NOT_FOUND` and those of `readEif`. */
export async function measureEif(path: string): Promise<Measurements> {
  try {
    return (await readEif(path)).measurements;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'EACCES') throw cause;
    throw new CliError(
      'EIF_NOT_FOUND',
      `${path} cannot be read by this command: ${message}`,
      'name a file that this user may read',
      { cause },
    );
  }
}

/** Measures a target's bytes: a file here and now; of an image the builder does it, in the stack that runs or a private one. */
export async function measureTarget(target: RunTarget): Promise<Measurements> {
  if (target.eif !== undefined) return await measureEif(target.eif);
  await using session = await openOrStartSession();
  return (await session.bus.request('builder', 'extract', { image: target.image })).measurements;
}
