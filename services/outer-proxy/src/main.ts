import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { runService, serviceEnvSchema } from '@enclaver/bus/service';
import * as z from 'zod';
import { limits } from './limits.ts';
import { OuterProxy } from './outer-proxy.ts';
import { VERSION } from './version.ts';

const envSchema = serviceEnvSchema.extend({
  /** Folder in which the outer-proxies of this host meet, to share their listeners; without it this one is alone. */
  ENCLAVER_RUN_DIR: z.string().startsWith('/').optional(),
  /** What open connections get at the end of this process. */
  ENCLAVER_DRAIN_SECONDS: z.coerce.number().min(0).max(limits.drainSecondsMax).default(limits.drainSeconds),
});

await runService({
  name: 'outer-proxy',
  version: VERSION,
  env: envSchema,
  closeMs: ({ ENCLAVER_DRAIN_SECONDS }) => ENCLAVER_DRAIN_SECONDS * 1000 + limits.closeMs,
  start: async ({ bus, env, logger, metrics }) => {
    // The egress sockets are for this user's machines only
    process.umask(0o077);
    const dir = env.ENCLAVER_RUN_DIR;
    if (dir !== undefined) await mkdir(dir, { recursive: true });
    const proxy = new OuterProxy(bus, logger, {
      peerPath: dir && join(dir, 'outer-proxy.sock'),
      drainMs: env.ENCLAVER_DRAIN_SECONDS * 1000,
      metrics,
    });
    await proxy.start();
    await bus.announce('outer-proxy', VERSION);
    return proxy;
  },
});
