import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { runService, serviceEnvSchema } from '@enclaver/bus/service';
import * as z from 'zod';
import { AccessLog } from './access-log.ts';
import { TrustedProxies } from './http/trusted-proxies.ts';
import { limits } from './limits.ts';
import { OuterProxy } from './outer-proxy.ts';
import { ParentPolicy } from './parent-policy.ts';
import { VERSION } from './version.ts';

const envSchema = serviceEnvSchema.extend({
  /** Folder in which the outer-proxies of this host meet, to share their listeners; without it this one is alone. */
  ENCLAVER_RUN_DIR: z.string().startsWith('/').optional(),
  /** What the parent lets enclaves reach. */
  ENCLAVER_EGRESS_POLICY: z.string().startsWith('/').optional(),
  ENCLAVER_ACCESS_LOG: z.enum(['off', 'json']).default('off'),
  /** Load balancers in front, whose `X-Forwarded-*` is taken: ranges, with commas between several. */
  ENCLAVER_TRUSTED_PROXIES: z
    .string()
    .transform((text, context): TrustedProxies => {
      try {
        return new TrustedProxies(text.split(',').map((range) => range.trim()));
      } catch (error) {
        const { message } = error as Error;
        context.addIssue({ code: 'custom', message: `${message}; allowed are ranges such as 10.0.0.0/8, with commas` });
        return z.NEVER;
      }
    })
    .optional(),
  /** What open connections get at the end of this process. */
  ENCLAVER_DRAIN_SECONDS: z.coerce.number().min(0).max(limits.drainSecondsMax).default(limits.drainSeconds),
});

// Before the first use of libuv's threads: look-ups of names wait on them
process.env.UV_THREADPOOL_SIZE ??= String(limits.threads);

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
    const { ENCLAVER_EGRESS_POLICY: policyFile, ENCLAVER_ACCESS_LOG: accessLogMode } = env;
    const accessLog = accessLogMode === 'json' ? new AccessLog(metrics) : undefined;
    const proxy = new OuterProxy(bus, logger, {
      policy: policyFile === undefined ? undefined : await ParentPolicy.read(policyFile),
      accessLog,
      trustedProxies: env.ENCLAVER_TRUSTED_PROXIES,
      peerPath: dir && join(dir, 'outer-proxy.sock'),
      drainMs: env.ENCLAVER_DRAIN_SECONDS * 1000,
      metrics,
    });
    await proxy.start();
    await bus.announce('outer-proxy', VERSION);
    return proxy;
  },
});
