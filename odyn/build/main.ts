/**
 * `node odyn/build/main.ts [--update-lock]`: makes the runtime bundles of enclaves in `dist/runtime/<architecture>`.
 * `--update-lock` records the compiled parts in `odyn/compiled.lock.json`.
 */
import { pino } from 'pino';
import { ARCHES } from './arch.ts';
import { BuildError } from './build-error.ts';
import { buildRuntime, defaultsFor } from './runtime.ts';

const log = pino({ name: 'runtime-build' }, pino.destination(2));

try {
  for (const arch of ARCHES) {
    const result = await buildRuntime({ ...defaultsFor(arch), updateLock: process.argv.includes('--update-lock') });
    if (!result.pinned) {
      log.warn(
        { arch },
        'a pinned version was not to be had: PCR0 and PCR1 of every enclave built here differ from the published ones',
      );
    }
    if (result.differing.length > 0) {
      log.warn(
        { arch, parts: result.differing },
        'compiled parts differ from odyn/compiled.lock.json: PCR0 and PCR1 of every enclave built here differ from those made with its tools',
      );
    }
    log.info({ arch, ...result }, result.built ? 'runtime made' : 'runtime is up to date');
  }
} catch (error) {
  if (!(error instanceof BuildError)) {
    throw error;
  }
  log.fatal({ code: error.code, remedy: error.remedy }, error.message);
  process.exitCode = 1;
}
