import { serviceEnvSchema } from '@enclaver/bus/service';
import * as z from 'zod';

export const envSchema = serviceEnvSchema.extend({
  /** Folder of the enclaves' folders with their sockets. */
  ENCLAVER_RUN_DIR: z.string().startsWith('/').default('/run/enclaver'),
  /** Folder of the development root that simulated NSMs sign with; made at first use. */
  ENCLAVER_NSM_DIR: z.string().startsWith('/').default('/var/lib/enclaver/nsm'),
  /** What PCR3 and PCR4 of simulated NSMs stand for; without them the registers are zero. */
  ENCLAVER_NSM_ROLE_ARN: z
    .string()
    .regex(/^arn:[a-z-]+:iam::\d{12}:role\/.+$/, 'not an ARN of a role, such as arn:aws:iam::123456789012:role/parent')
    .optional(),
  ENCLAVER_NSM_INSTANCE_ID: z
    .string()
    .regex(/^i-(?:[0-9a-f]{17}|[0-9a-f]{8})$/, 'not an instance id, such as i-0123456789abcdef0')
    .optional(),
  /** Kind of machine; `auto` is Nitro where its device is. */
  ENCLAVER_BACKEND: z.enum(['auto', 'nitro', 'qemu']).default('auto'),
  /** Folder that stands for a parent instance: for the emulator of nitro-cli, never for earnest. */
  ENCLAVER_NITRO_EMULATED: z.string().startsWith('/').optional(),
  /** 1: a supervisor that ends stops its enclaves, as one that belongs to a single `enclaver run` must. */
  ENCLAVER_STOP_ON_EXIT: z.enum(['0', '1']).default('0'),
  /** 1: the supervisor ends with its last enclave, as one that a service manager watches in its place shall. */
  ENCLAVER_EXIT_WITH_ENCLAVE: z.enum(['0', '1']).default('0'),
});

export type SupervisorEnv = z.infer<typeof envSchema>;
