/**
 * `node odyn/build/main.ts [--update-lock]`: makes the runtime bundle of the enclave in `dist/runtime/x86_64`.
 * `--update-lock` records the compiled parts in `odyn/compiled.lock.json`.
 */
import { pino } from 'pino';
import { BuildError } from './build-error.ts';
import { buildRuntime, DEFAULTS } from './runtime.ts';

const log = pino({ name: 'runtime-build' }, pino.destination(2));

try {
  const result = await buildRuntime({ ...DEFAULTS, updateLock: process.argv.includes('--update-lock') });
  if (!result.pinned) {
    log.warn(
      'a pinned version was not to be had: PCR0 and PCR1 of every enclave built here differ from the published ones',
    );
  }
  if (result.differing.length > 0) {
    log.warn(
      { parts: result.differing },
      'compiled parts differ from odyn/compiled.lock.json: PCR0 and PCR1 of every enclave built here differ from those made with its tools',
    );
  }
  log.info(result, result.built ? 'runtime made' : 'runtime is up to date');
} catch (error) {
  if (!(error instanceof BuildError)) {
    throw error;
  }
  log.fatal({ code: error.code, remedy: error.remedy }, error.message);
  process.exitCode = 1;
}
