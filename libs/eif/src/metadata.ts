import * as z from 'zod';
import { EifError } from './errors.ts';
import { MAX_METADATA_BYTES, MAX_METADATA_DEPTH } from './limits.ts';

/** Content of the metadata section. It is in no PCR: nothing may be trusted because it stands here. */
export interface EifMetadata {
  ImageName: string;
  ImageVersion: string;
  BuildMetadata: {
    /** RFC 3339. A fixed time keeps the file reproducible. */
    BuildTime: string;
    BuildTool: string;
    BuildToolVersion: string;
    OperatingSystem: string;
    KernelVersion: string;
  };
  /** Inspect output of the source image, or null. */
  DockerInfo: Record<string, unknown> | null;
  /** Any JSON value. */
  CustomMetadata: unknown;
}

// A missing DockerInfo or CustomMetadata reads as null, as it does in nitro-cli. Unknown keys are left out: the
// section is informational and other tools may add to it.
const schema = z.object({
  ImageName: z.string(),
  ImageVersion: z.string(),
  BuildMetadata: z.object({
    BuildTime: z.string(),
    BuildTool: z.string(),
    BuildToolVersion: z.string(),
    OperatingSystem: z.string(),
    KernelVersion: z.string(),
  }),
  DockerInfo: z.record(z.string(), z.unknown()).nullable().default(null),
  CustomMetadata: z.unknown().default(null),
});

/** Compact JSON with the keys in the documented order, whatever their order in the object. */
export function encodeMetadata(metadata: EifMetadata): Buffer {
  const bytes = Buffer.from(JSON.stringify(check(metadata)), 'utf8');
  if (bytes.length > MAX_METADATA_BYTES) {
    throw new EifError('EIF_METADATA', `metadata of ${bytes.length} bytes; at most ${MAX_METADATA_BYTES} are allowed`);
  }
  return bytes;
}

/** Throws EIF_METADATA. */
export function decodeMetadata(bytes: Uint8Array): EifMetadata {
  return check(parseMetadata(bytes));
}

/** The JSON value of the section, with the keys that we do not know. Throws EIF_METADATA. */
export function parseMetadata(bytes: Uint8Array): unknown {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new EifError('EIF_METADATA', 'the metadata section is not JSON in UTF-8', { cause });
  }
  checkDepth(value);
  return value;
}

/** Level by level, since whoever prints the value goes down by recursion. */
function checkDepth(value: unknown): void {
  const containers = (values: unknown[]): object[] =>
    values.filter((each): each is object => typeof each === 'object' && each !== null);
  let level = containers([value]);
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > MAX_METADATA_DEPTH) {
      throw new EifError('EIF_METADATA', `the metadata goes deeper than ${MAX_METADATA_DEPTH} levels`);
    }
    level = level.flatMap((each) => containers(Object.values(each)));
  }
}

function check(value: unknown): EifMetadata {
  const result = schema.safeParse(value);
  if (!result.success) {
    const found = result.error.issues.map((issue) => `${issue.path.join('.') || '(root)'}: ${issue.message}`);
    throw new EifError('EIF_METADATA', `the metadata does not have the documented form: ${found.join('; ')}`);
  }
  return result.data;
}
