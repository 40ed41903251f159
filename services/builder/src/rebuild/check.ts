import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { BuildProgress } from '@enclaver/bus';
import type { BuildOptions } from '../build-options.ts';
import { BuilderError } from '../builder-error.ts';
import type { WorkDir } from '../work-dir.ts';
import { compareBuilds } from './compare.ts';

/** What a second build must not depend on: time zone, language, sorting, creation mask, working folder, number of threads. */
const OTHER_ENVIRONMENT = {
  TZ: 'Pacific/Kiritimati',
  LANG: 'tr_TR.UTF-8',
  LC_ALL: 'tr_TR.UTF-8',
  UV_THREADPOOL_SIZE: '1',
};

/**
 * Everything of a build's options that a second process can be told. Its EIF is only compared: nothing is said of it, and no key
 * signs that.
 */
export type SecondBuild = Omit<
  BuildOptions,
  'onProgress' | 'onWarning' | 'signal' | 'check' | 'push' | 'provenance' | 'sbom' | 'signKey'
>;

/**
 * Builds again in a process of its own under other conditions and compares with the file `first`. Throws
 * BUILD_NOT_REPRODUCIBLE with what differs, and the errors of a build.
 */
export async function checkBuild(
  { onProgress, onWarning, signal, check, push, provenance, sbom, signKey, ...options }: BuildOptions,
  first: string,
  work: WorkDir,
  progress: (progress: BuildProgress) => void,
): Promise<void> {
  progress({ stage: 'check', text: 'a second build under other conditions' });
  const folder = await work.newFolder('second');
  const second = join(folder, 'second.eif');
  const request: SecondBuild = { ...options, eifOnly: second, dataDir: folder, unsigned: true };
  const child = spawn(process.execPath, [join(import.meta.dirname, 'check-main.ts')], {
    cwd: '/',
    env: { ...process.env, ...OTHER_ENVIRONMENT },
    stdio: ['pipe', 'ignore', 'pipe'],
    ...(signal === undefined ? {} : { signal }),
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  child.stdin.on('error', () => undefined).end(JSON.stringify(request));
  const [code, words] = await Promise.all([ended, text(child.stderr)]);
  progress({ stage: 'check', text: 'comparing' });
  if (code !== 0) {
    throw new BuilderError('BUILD_NOT_REPRODUCIBLE', `the second build failed: ${words.trim()}`, {
      remedy: 'the first went well: look for what changed between the two, such as the source image',
    });
  }
  const differences = await compareBuilds(first, second);
  if (differences.length === 0) return;
  throw new BuilderError('BUILD_NOT_REPRODUCIBLE', `two builds of the same inputs differ:\n${differences.join('\n')}`, {
    remedy: 'the source image changed between the two builds, or this is a fault of Enclaver: please report it',
  });
}
