import * as z from 'zod';
import { TrustError } from './errors.ts';
import { JsonError, readJson } from './json-tree.ts';
import { MAX_EXPECTATION_BYTES } from './limits.ts';
import { NAMING_RULE, nameImage, type Pcrs, type Register, registerNames, ZERO_PCR } from './registers.ts';

const pcr = z
  .string()
  .regex(/^[0-9a-fA-F]{96}$/, 'must have 96 hexadecimal digits')
  .transform((digits) => digits.toLowerCase())
  .refine((digits) => digits !== ZERO_PCR, 'is all zeros: that is debug mode, or a register that is not set');

const measurementsSchema = z.strictObject({
  HashAlgorithm: z
    .string()
    .regex(/^sha384\b/i, 'must be Sha384')
    .optional(),
  ...(Object.fromEntries(registerNames.map((register) => [register, pcr.optional()])) as Record<
    Register,
    z.ZodOptional<typeof pcr>
  >),
});

/**
 * Reads the measurements that an image is expected to have: output of `enclaver trust -o json`, `enclaver build -o json`,
 * `nitro-cli build-enclave` or `describe-eif` (an object with `Measurements`), or a bare map `{"PCR0": "…"}`.
 *
 * Strict, since what is not understood would not be checked: no register but PCR0 to 4 and 8, 96 digits, no zeros, no key
 * twice, and enough of them to name an image. Throws EXPECTATION_INVALID.
 */
export function parseExpectation(bytes: Uint8Array): Pcrs {
  if (bytes.length > MAX_EXPECTATION_BYTES) {
    throw invalid(`it has ${bytes.length} bytes; at most ${MAX_EXPECTATION_BYTES} are allowed`);
  }
  return measurementsOf(mapOf(parse(bytes)));
}

/** Checks a map of measurements, `{"PCR0": "…"}`, as `parseExpectation` does. Throws EXPECTATION_INVALID. */
export function measurementsOf(map: unknown): Pcrs {
  const result = measurementsSchema.safeParse(map);
  if (!result.success) throw invalid(result.error.issues.map(describe).join('; '));
  const { HashAlgorithm: _, ...found } = result.data;
  const pcrs = Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)) as Pcrs;
  const named = Object.keys(pcrs) as Register[];
  if (!nameImage(named)) {
    throw invalid(
      `it has ${named.length === 0 ? 'no register' : named.join(', ')}, which names no image; ${NAMING_RULE} is needed`,
    );
  }
  return pcrs;
}

function parse(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw invalid('it is not UTF-8', cause);
  }
  try {
    return readJson(text).value;
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw invalid(cause.message, cause);
  }
}

/** The map of registers: under `Measurements`, or the document itself. */
function mapOf(document: unknown): unknown {
  if (typeof document !== 'object' || document === null || !Object.hasOwn(document, 'Measurements')) return document;
  const outside = Object.keys(document).filter((key) => /^pcr/i.test(key));
  if (outside.length > 0) throw invalid(`it has ${outside.join(', ')} outside of Measurements, too`);
  return (document as { Measurements: unknown }).Measurements;
}

function describe(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') {
    return `it has ${issue.keys.map((key) => JSON.stringify(key)).join(', ')}; allowed are HashAlgorithm, ${registerNames.join(', ')}`;
  }
  return issue.path.length === 0 ? issue.message : `${issue.path.join('.')} ${issue.message}`;
}

function invalid(message: string, cause?: unknown): TrustError {
  return new TrustError(
    'EXPECTATION_INVALID',
    `the file with the expected measurements cannot be used: ${message}`,
    'make it with `enclaver trust -o json <image>` from an image that you trust',
    cause === undefined ? {} : { cause },
  );
}
