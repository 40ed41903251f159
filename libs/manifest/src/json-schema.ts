import * as z from 'zod';
import { manifestSchema } from './schema/manifest.ts';

/** The JSON Schema (draft 2020-12) of `enclaver.yaml` v1, for editors. Rules that join several keys are not all in it. */
export function manifestJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(manifestSchema, {
    io: 'input',
    override: ({ jsonSchema }) => {
      // Not a keyword of JSON Schema; editors show the description.
      const { allowed } = jsonSchema;
      delete jsonSchema.allowed;
      if (typeof allowed === 'string') jsonSchema.description = `${jsonSchema.description} Allowed: ${allowed}.`;
    },
  });
}
