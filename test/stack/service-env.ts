import { join } from 'node:path';

/** What saves services memory, as `cli/bin/enclaver`, the units and the images start them. */
export const SERVICE_ENV = {
  NODE_COMPILE_CACHE: join(import.meta.dirname, '../../dist/compile-cache'),
  NODE_OPTIONS: '--max-semi-space-size=1',
  MALLOC_ARENA_MAX: '1',
};
