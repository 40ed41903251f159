import type * as z from 'zod';
import { findConflicts, showPath } from './conflicts.ts';
import { ManifestError, type ManifestProblem } from './errors.ts';
import { MAX_SHOWN_LENGTH } from './limits.ts';
import { type Manifest, manifestSchema, normalise } from './schema/manifest.ts';
import { allowedAt, keysOf, step } from './schema-walk.ts';
import { suggest } from './suggest.ts';
import { decodeManifest, type Path, readYaml, type YamlSource } from './yaml-source.ts';

/**
 * Reads and checks an `enclaver.yaml`. Throws ManifestError, which names every problem of the file with its place:
 * MANIFEST_TOO_LARGE (over 1 MiB), MANIFEST_YAML (not one plain YAML 1.2 document), MANIFEST_INVALID (anything else).
 *
 * @param options.file name of the file, for messages
 */
export function parseManifest(
  source: string | Uint8Array,
  { file = 'enclaver.yaml' }: { file?: string } = {},
): Manifest {
  const yaml = readYaml(decodeManifest(source, file), file);
  const result = manifestSchema.safeParse(yaml.value);
  const problems = [
    ...firstOfEachPath((result.error?.issues ?? []).flatMap((issue) => problemsOf(issue, yaml))),
    ...findConflicts(yaml.value).map(
      ({ path, found, allowed }): ManifestProblem => ({
        code: 'CONFLICT',
        ...yaml.placeOf(path),
        path: showPath(path),
        found,
        allowed,
      }),
    ),
  ];
  if (!result.success || problems.length > 0) throw new ManifestError('MANIFEST_INVALID', problems);
  return normalise(result.data);
}

/** A value that breaks two rules at once is one problem: `allowed` states both. */
function firstOfEachPath(problems: readonly ManifestProblem[]): ManifestProblem[] {
  const seen = new Set<string>();
  return problems.filter(({ path }) => {
    if (seen.has(path)) return false;
    seen.add(path);
    return true;
  });
}

function problemsOf(issue: z.core.$ZodIssue, yaml: YamlSource): ManifestProblem[] {
  const { path } = issue;
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey([...path, key], yaml));
  if (issue.code === 'invalid_key') {
    const found = `the key ${show(path.at(-1))}`;
    return [problem('BAD_VALUE', yaml.placeOfKey(path), path, found, 'the name of a region, such as us-east-1')];
  }
  const allowed = allowedAt(manifestSchema, path);
  const value = valueAt(yaml.value, path);
  if (value === undefined) {
    const place = yaml.placeOf(path.slice(0, -1));
    return [problem('MISSING_KEY', place, path, 'nothing', `${allowed}; the key is required`)];
  }
  const place = yaml.placeOf(path);
  if (issue.code === 'invalid_type') return [problem('WRONG_TYPE', place, path, show(value), allowed)];
  const why = issue.code === 'custom' ? `, but ${issue.message}` : '';
  return [problem('BAD_VALUE', place, path, show(value) + why, allowed)];
}

function unknownKey(path: Path, yaml: YamlSource): ManifestProblem {
  let schema: z.ZodType | undefined = manifestSchema;
  for (const key of path.slice(0, -1)) schema = schema && step(schema, key);
  const known = [...((schema && keysOf(schema)) ?? new Map<string, unknown>()).keys()];
  const key = String(path.at(-1));
  const meant = suggest(key, known);
  return {
    ...problem('UNKNOWN_KEY', yaml.placeOfKey(path), path, `the unknown key ${show(key)}`, known.join(', ')),
    ...(meant === undefined ? {} : { remedy: `did you mean "${meant}"?` }),
  };
}

function problem(
  code: ManifestProblem['code'],
  place: Pick<ManifestProblem, 'file' | 'line' | 'column'>,
  path: Path,
  found: string,
  allowed: string,
): ManifestProblem {
  return { code, ...place, path: showPath(path), found, allowed };
}

function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const key of path) {
    const inside = typeof value === 'object' && value !== null && Object.hasOwn(value, key);
    value = inside ? (value as Record<PropertyKey, unknown>)[key] : undefined;
  }
  return value;
}

/** A value as it is repeated in a message. */
function show(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}…` : text;
}
