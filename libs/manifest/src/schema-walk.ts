import * as z from 'zod';

/** One key of the manifest, as the schema has it. */
export interface SchemaKey {
  schema: z.ZodType;
  required: boolean;
}

/** The schema under `optional` and `nullable` wrappers. */
export function unwrap(schema: z.core.$ZodType): z.ZodType {
  let inner = schema;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodNullable) inner = inner.unwrap();
  return inner as z.ZodType;
}

/** The keys of a map with fixed keys, in the order of the schema; undefined for anything else. */
export function keysOf(schema: z.ZodType): Map<string, SchemaKey> | undefined {
  if (!(schema instanceof z.ZodObject)) return undefined;
  return new Map(
    Object.entries(schema.shape).map(([key, value]: [string, z.core.$ZodType]) => [
      key,
      { schema: unwrap(value), required: !(value instanceof z.ZodOptional) },
    ]),
  );
}

/** The schema of what stands inside at one step of a path: key of a map, index of a list. */
export function step(schema: z.ZodType, key: PropertyKey): z.ZodType | undefined {
  if (schema instanceof z.ZodObject) return keysOf(schema)?.get(String(key))?.schema;
  if (schema instanceof z.ZodArray) return unwrap(schema.element);
  if (schema instanceof z.ZodRecord) return unwrap(schema.valueType);
  return undefined;
}

/** What may stand at a path, in words. */
export function allowedAt(root: z.ZodType, path: readonly PropertyKey[]): string {
  let schema: z.ZodType | undefined = root;
  for (const key of path) schema = schema && step(schema, key);
  return schema?.meta()?.allowed ?? 'a value of the documented form';
}
