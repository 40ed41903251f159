import { type Measurements, showText } from '@enclaver/eif';
import * as z from 'zod';
import { platformSchema } from '../platform.ts';

/**
 * What a release image says of itself, as labels of its configuration and annotations of its manifest. For people and for
 * `enclaver verify-build`; nothing may be trusted because it stands here: `enclaver trust` measures the bytes.
 *
 * Only what follows from the inputs: where an image was fetched from would make two machines' images differ.
 */
export interface ReleaseFacts {
  enclaverVersion: string;
  platform: z.infer<typeof platformSchema>;
  /** As the manifest or `--from` names it. */
  sourceName: string;
  /** Digest of the app image's configuration, which names its layers: the same however the image came here. */
  sourceId: string;
  baseName: string;
  baseId: string;
  eifSha256: string;
  measurements: Measurements;
}

const PREFIX = 'io.enclaver.';

export function labelsOf(facts: ReleaseFacts): Record<string, string> {
  const { PCR0, PCR1, PCR2, PCR8 } = facts.measurements;
  return {
    [`${PREFIX}version`]: facts.enclaverVersion,
    [`${PREFIX}platform`]: facts.platform,
    [`${PREFIX}source.name`]: facts.sourceName,
    [`${PREFIX}source.id`]: facts.sourceId,
    [`${PREFIX}base.name`]: facts.baseName,
    [`${PREFIX}base.id`]: facts.baseId,
    [`${PREFIX}eif.sha256`]: facts.eifSha256,
    [`${PREFIX}pcr0`]: PCR0,
    [`${PREFIX}pcr1`]: PCR1,
    [`${PREFIX}pcr2`]: PCR2,
    ...(PCR8 === undefined ? {} : { [`${PREFIX}pcr8`]: PCR8 }),
  };
}

/** Whoever made the image wrote the labels, and both are shown to people: no control characters, as long as a build takes them. */
const version = z.string().regex(/^[\w.+-]{1,64}$/);
const sourceName = z
  .string()
  .min(1)
  .max(4096)
  .refine((name) => showText(name) === name);

const recordedSchema = z.object({
  [`${PREFIX}version`]: version.optional(),
  [`${PREFIX}platform`]: platformSchema,
  [`${PREFIX}source.name`]: sourceName,
  [`${PREFIX}source.id`]: z.string().min(1),
});

/** What is needed to build an image again. */
export interface RecordedInputs {
  enclaverVersion?: string;
  platform: z.infer<typeof platformSchema>;
  sourceName: string;
  sourceId: string;
}

/** Undefined where the labels do not say how the image was built. */
export function recordedInputs(labels: unknown): RecordedInputs | undefined {
  const found = recordedSchema.safeParse(labels);
  if (!found.success) return undefined;
  const { data } = found;
  return {
    platform: data[`${PREFIX}platform`] as RecordedInputs['platform'],
    sourceName: String(data[`${PREFIX}source.name`]),
    sourceId: String(data[`${PREFIX}source.id`]),
    ...(data[`${PREFIX}version`] === undefined ? {} : { enclaverVersion: String(data[`${PREFIX}version`]) }),
  };
}
