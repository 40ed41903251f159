import { stat } from 'node:fs/promises';
import { EifError } from '@enclaver/eif';
import { CliError } from '../../cli-error.ts';

/** Throws EIF_NOT_FOUND, with a word on images, where there is nothing at that path. */
export async function checkExists(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    const remedy = 'name the path of an EIF file; to measure a release image: enclaver trust IMAGE';
    throw new CliError('EIF_NOT_FOUND', `there is no file ${path}`, remedy, { cause });
  }
}

/** Does something with an EIF that the command line names, and names it in what goes wrong. Throws EIF_NOT_FOUND. */
export async function onEif<Result>(path: string, action: (path: string) => Promise<Result>): Promise<Result> {
  await checkExists(path);
  try {
    return await action(path);
  } catch (error) {
    if (!(error instanceof EifError)) throw error;
    throw new CliError(error.code, `${path}: ${error.message}`, error.remedy, { cause: error });
  }
}
