import { join } from 'node:path';
import { runService, serviceEnvSchema } from '@enclaver/bus/service';
import * as z from 'zod';
import packageJson from '../package.json' with { type: 'json' };
import { startBuilder } from './service.ts';

const CHECKOUT = join(import.meta.dirname, '../../..');

const folder = z.string().startsWith('/', 'must be an absolute path');

const envSchema = serviceEnvSchema.extend({
  /** Work files and finished images; needs room for an image several times over. */
  ENCLAVER_DATA_DIR: folder.default('/var/lib/enclaver'),
  /** Folder with a folder per architecture; each has kernel, cmdline, ramdisk0.cpio and runtime.json. */
  ENCLAVER_RUNTIME: folder.default(join(CHECKOUT, 'dist/runtime')),
  /** Base of release images for manifests that name none. */
  ENCLAVER_BASE_IMAGE: z.string().min(1).optional(),
});

await runService({
  name: 'builder',
  version: packageJson.version,
  env: envSchema,
  start: ({ bus, env, logger, metrics }) =>
    startBuilder(bus, logger, metrics, {
      dataDir: env.ENCLAVER_DATA_DIR,
      runtime: env.ENCLAVER_RUNTIME,
      ...(env.ENCLAVER_BASE_IMAGE === undefined ? {} : { baseImage: env.ENCLAVER_BASE_IMAGE }),
    }),
});
