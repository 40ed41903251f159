import { open } from 'node:fs/promises';
import { enclaveEventNames } from '@enclaver/bus';
import { serviceEnvSchema } from '@enclaver/bus/service';
import * as z from 'zod';
import { limits } from './limits.ts';

export const envSchema = serviceEnvSchema.extend({
  /** JSON file with the targets, see `configSchema`. */
  ENCLAVER_WEBHOOKS: z.string().startsWith('/', 'must be an absolute path'),
});

const file = z.string().startsWith('/', 'must be an absolute path');

const targetSchema = z.strictObject({
  /** Names it in warnings and on the bus, where how far it has come is kept under it. */
  name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  url: z.url({ protocol: /^https?$/ }),
  /** File with the secret that signs, 16 bytes at least. */
  secretFile: file,
  /** Only these events; all without it. */
  events: z.array(z.enum(enclaveEventNames)).min(1).optional(),
  /** The target may be on this host or in a private network. */
  allowPrivate: z.boolean().default(false),
  /** PEM file: certificates to trust in place of the public ones. */
  caFile: file.optional(),
});

const configSchema = z.strictObject({
  targets: z
    .array(targetSchema)
    .min(1)
    .max(limits.targets)
    .refine((targets) => new Set(targets.map(({ name }) => name)).size === targets.length, 'each needs its own name'),
});

export interface Target extends z.infer<typeof targetSchema> {
  secret: Buffer;
  ca?: Buffer;
}

export class WebhooksConfigError extends Error {
  override readonly name = 'WebhooksConfigError';
  readonly code = 'WEBHOOKS_INVALID';
  readonly remedy = 'mend the file that ENCLAVER_WEBHOOKS names; docs/webhooks.md says what it holds';
}

/** Reads the file of targets and their secrets. Errors: `WEBHOOKS_INVALID`. */
export async function readTargets(path: string): Promise<Target[]> {
  const config = configSchema.safeParse(parse(path, await contents(path, limits.configBytes)));
  if (!config.success) throw new WebhooksConfigError(`${path}: ${z.prettifyError(config.error)}`);
  return await Promise.all(
    config.data.targets.map(async (target) => {
      const secret = trimmed(await contents(target.secretFile, limits.secretBytes));
      if (secret.length < 16) throw new WebhooksConfigError(`${target.secretFile}: fewer than 16 bytes of secret`);
      const ca = target.caFile === undefined ? {} : { ca: await contents(target.caFile, limits.configBytes) };
      return { ...target, secret, ...ca };
    }),
  );
}

async function contents(path: string, most: number): Promise<Buffer> {
  try {
    await using handle = await open(path);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(most + 1), 0, most + 1, 0);
    if (bytesRead > most) throw new Error(`it has more than ${most} bytes`);
    return buffer.subarray(0, bytesRead);
  } catch (cause) {
    throw new WebhooksConfigError(`cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}

function parse(path: string, bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new WebhooksConfigError(`${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Without the line end that editors and `echo` add. */
function trimmed(bytes: Buffer): Buffer {
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d)) end -= 1;
  return bytes.subarray(0, end);
}
