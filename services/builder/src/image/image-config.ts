import * as z from 'zod';
import { BuilderError } from '../builder-error.ts';
import { limits } from '../limits.ts';

/** Digests of other kinds are legal and unseen; SHA-256 is the one every implementation must have. */
export const digestSchema = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, 'must be sha256: and 64 hexadecimal digits; other digests are not supported');

// Docker writes one word without a list in some old images
const wordsSchema = z
  .union([z.array(z.string()).max(limits.configWords), z.string().transform((word) => [word])])
  .nullish()
  .transform((words) => words ?? []);
const textSchema = z
  .string()
  .nullish()
  .transform((text) => text ?? '');

const runSchema = z.object({
  Entrypoint: wordsSchema,
  Cmd: wordsSchema,
  Env: wordsSchema,
  User: textSchema,
  WorkingDir: textSchema,
  StopSignal: textSchema,
  /** Folders that engines make where the image has none. */
  Volumes: z
    .record(z.string(), z.unknown())
    .nullish()
    .transform((volumes) => Object.keys(volumes ?? {}).sort()),
});

/** What we need of an image's configuration (OCI image specification, `config.md`; Docker's is the same there). */
const imageConfigSchema = z.object({
  architecture: z.string(),
  os: z.string(),
  config: runSchema.nullish().transform((config) => config ?? runSchema.parse({})),
  rootfs: z
    .object({ diff_ids: z.array(digestSchema).max(limits.layers).nullish() })
    .transform(({ diff_ids }) => diff_ids ?? []),
});

export type ImageConfig = z.infer<typeof imageConfigSchema>;

/** Throws IMAGE_INVALID. */
export function decodeImageConfig(bytes: Buffer, what: string): ImageConfig {
  return decodeJson(bytes, imageConfigSchema, `the configuration of ${what}`);
}

/** Throws IMAGE_INVALID. */
export function decodeJson<S extends z.ZodType>(bytes: Buffer, schema: S, what: string): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    // Without the cause: it quotes the text, which may be any file of this machine that a layout links to
    throw new BuilderError('IMAGE_INVALID', `${what} is not JSON`, { remedy: 'export the image again' });
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    throw new BuilderError('IMAGE_INVALID', `${what} is malformed: ${z.prettifyError(result.error)}`, {
      remedy: 'export the image again',
    });
  }
  return result.data;
}
