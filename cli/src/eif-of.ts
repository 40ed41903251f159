import type { Bus } from '@enclaver/bus';
import { type Measurements, readEif } from '@enclaver/eif';
import { CliError } from './cli-error.ts';
import type { RunTarget } from './run-target.ts';
import { openOrStartSession } from './session.ts';

/** Path of a target's EIF: the file itself, or what the builder takes out of the release image. */
export async function eifOf(target: RunTarget, bus: Bus): Promise<string> {
  return target.eif ?? (await bus.request('builder', 'extract', { image: target.image })).eif;
}

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
      'run it as a user, and on the machine or in the container, that sees the data folder of the builder',
      { cause },
    );
  }
}

/** Measures a target. A file needs no stack; for an image one is used, or started. */
export async function measureTarget(target: RunTarget): Promise<Measurements> {
  if (target.eif !== undefined) return await measureEif(target.eif);
  await using session = await openOrStartSession();
  return await measureEif(await eifOf(target, session.bus));
}
