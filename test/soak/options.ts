import { join } from 'node:path';

/** Of `scripts/soak`, as `util.parseArgs` takes them. */
export const soakOptions = {
  connections: { type: 'string', default: '1000000' },
  minutes: { type: 'string', default: '120' },
  load: { type: 'string', default: '0.7' },
  seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  out: { type: 'string', default: join(import.meta.dirname, '../../dist/soak') },
  help: { type: 'boolean', short: 'h', default: false },
} as const;
