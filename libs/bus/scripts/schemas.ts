import * as z from 'zod';
import { errorDataSchema } from '../src/bus-error.ts';
import { envelopeSchema } from '../src/cloud-event.ts';
import { enclaveRecordSchema, enclaveResultSchema, measurementsSchema, publishedPortSchema } from '../src/enclave.ts';
import { enclaveEventNames, enclaveEventSchemas } from '../src/events.ts';
import { logBatchSchema } from '../src/logs.ts';
import { buildProgressSchema, operations } from '../src/operations.ts';
import { warningEventSchema } from '../src/warning.ts';

/** A schema as JSON has it. */
export interface JsonSchema {
  [keyword: string]: unknown;
  type?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
}

/** `egress-ready` as part of a name: `EgressReady`. */
export function camel(name: string): string {
  return name.replaceAll(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** All schemas of the bus by name, as JSON Schema draft 7, pointing at each other under `at`. Unknown fields are allowed. */
export function jsonSchemas(at: string): Record<string, JsonSchema> {
  const registry = z.registry<{ id: string }>();
  const add = (id: string, schema: z.ZodType): void => void registry.add(schema, { id });
  add('CloudEvent', envelopeSchema);
  add('ErrorData', errorDataSchema);
  add('EnclaveRecord', enclaveRecordSchema);
  add('EnclaveResult', enclaveResultSchema);
  add('PublishedPort', publishedPortSchema);
  add('Measurements', measurementsSchema);
  for (const name of enclaveEventNames) add(`${camel(name)}Data`, enclaveEventSchemas[name]);
  add('LogBatch', logBatchSchema);
  add('BuildProgress', buildProgressSchema);
  add('WarningEvent', warningEventSchema);
  for (const [service, of] of Object.entries(operations)) {
    for (const [name, { request, response }] of Object.entries(of)) {
      add(`${camel(service)}${camel(name)}Request`, request);
      add(`${camel(service)}${camel(name)}Response`, response);
    }
  }
  const { schemas } = z.toJSONSchema(registry, {
    target: 'draft-7',
    io: 'input',
    uri: (id) => `${at}${id}`,
    override: ({ jsonSchema }) => {
      // zod's own word for a pattern, which is there
      if (jsonSchema.format === 'starts_with') delete jsonSchema.format;
      // Every number of JSON in JavaScript is within these
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    },
  });
  for (const schema of Object.values(schemas)) {
    delete schema.$id;
    delete schema.$schema;
  }
  return schemas as Record<string, JsonSchema>;
}
