import { markdownTable } from '../../../scripts/doc-section.ts';
import { enclaveEventNames, enclaveEventSources } from '../src/events.ts';
import { operations } from '../src/operations.ts';
import { camel, type JsonSchema, jsonSchemas } from './schemas.ts';

const schemas = jsonSchemas('');

/** The table of lifecycle events in docs/events.md. */
export function eventTable(): string {
  const rows = enclaveEventNames.map((name) => {
    const schema = schemas[`${camel(name)}Data`];
    return [`\`${name}\``, enclaveEventSources[name], schema?.description as string, fields(schema)];
  });
  return markdownTable([['Event', 'From', 'Means', '`data`'], ...rows]);
}

/** The table of requests in docs/events.md. */
export function operationTable(): string {
  const rows = Object.entries(operations).flatMap(([service, of]) =>
    Object.entries(of).map(([name, { means }]) => {
      const schema = (kind: string) => schemas[`${camel(service)}${camel(name)}${kind}`];
      return [`\`enclaver.v1.${service}.${name}\``, means, fields(schema('Request')), fields(schema('Response'))];
    }),
  );
  return markdownTable([['Subject', 'What it does', 'Request', 'Answer'], ...rows]);
}

function fields(schema: JsonSchema | undefined): string {
  const names = Object.keys(schema?.properties ?? {}).map((name) =>
    schema?.required?.includes(name) ? `\`${name}\`` : `\`${name}?\``,
  );
  return names.length === 0 ? '–' : names.join(', ');
}
