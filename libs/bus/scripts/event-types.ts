import { enclaveEventNames } from '../src/events.ts';
import { camel, type JsonSchema, jsonSchemas } from './schemas.ts';

/** TypeScript types of the lifecycle events: `libs/events/src/event-types.ts`. */
export function eventTypes(): string {
  const schemas = jsonSchemas('');
  const data = enclaveEventNames.map((name) => `${camel(name)}Data`);
  const named = reached(schemas, data).map((name) => {
    const schema = schemas[name] ?? {};
    return `${comment(schema)}export type ${name} = ${typeOf(schema, '')};\n`;
  });
  const members = enclaveEventNames.map((name) => {
    const key = /^\w+$/.test(name) ? name : `'${name}'`;
    return `${comment(schemas[`${camel(name)}Data`] ?? {}, '  ')}  ${key}: ${camel(name)}Data;`;
  });
  return [
    '// Written by libs/bus/scripts/generate.ts from the schemas of the bus.\n',
    ...named,
    `/** What each event carries as \`data\`, by its name. */\nexport interface EventData {\n${members.join('\n')}\n}\n`,
  ].join('\n');
}

/** The schemas that `names` are made of, and they themselves, each once, before those that use it. */
function reached(schemas: Record<string, JsonSchema>, names: readonly string[]): string[] {
  const found = new Set<string>();
  const visit = (name: string): void => {
    const used = [...JSON.stringify(schemas[name] ?? {}).matchAll(/"\$ref":"([^"]+)"/g)];
    for (const [, inner = ''] of used) if (!found.has(inner)) visit(inner);
    found.add(name);
  };
  for (const name of names) visit(name);
  return [...found];
}

function comment({ description }: JsonSchema, indent = ''): string {
  return description === undefined ? '' : `${indent}/** ${String(description)} */\n`;
}

function typeOf(schema: JsonSchema, indent: string): string {
  const {
    $ref,
    const: value,
    enum: values,
    allOf,
    anyOf,
    oneOf,
    items,
    type,
    properties,
    additionalProperties,
  } = schema;
  if (typeof $ref === 'string') return $ref;
  if (value !== undefined) return literal(value);
  if (Array.isArray(values)) return values.map(literal).join(' | ');
  if (Array.isArray(allOf)) return allOf.map((each) => typeOf(each, indent)).join(' & ');
  const choices = anyOf ?? oneOf;
  if (Array.isArray(choices)) return [...new Set(choices.map((each) => typeOf(each, indent)))].join(' | ');
  if (type === 'array') return `Array<${typeOf((items ?? {}) as JsonSchema, indent)}>`;
  if (type === 'integer') return 'number';
  if (type === 'object' && properties === undefined) {
    const record = `Record<string, ${typeOf((additionalProperties ?? {}) as JsonSchema, indent)}>`;
    // Of names that are listed some may be missing; where any name will do, those that are there have a value
    return (schema.propertyNames as JsonSchema | undefined)?.enum === undefined ? record : `Partial<${record}>`;
  }
  if (properties !== undefined) return objectType(schema, indent);
  return type ?? 'unknown';
}

function objectType({ properties = {}, required = [] }: JsonSchema, indent: string): string {
  const inner = `${indent}  `;
  const members = Object.entries(properties).map(
    ([name, schema]) =>
      `${comment(schema, inner)}${inner}${name}${required.includes(name) ? '' : '?'}: ${typeOf(schema, inner)};`,
  );
  return members.length === 0 ? 'Record<string, never>' : `{\n${members.join('\n')}\n${indent}}`;
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
}
