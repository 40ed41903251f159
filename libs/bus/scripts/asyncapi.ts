import { enclaveEventNames, enclaveEventSources } from '../src/events.ts';
import { logKinds } from '../src/logs.ts';
import { operations } from '../src/operations.ts';
import { SCHEMA_VERSION } from '../src/schema-version.ts';
import { camel, jsonSchemas } from './schemas.ts';

const ref = (path: string) => ({ $ref: `#/${path}` });
const schemaAt = 'components/schemas/';

const schemas = jsonSchemas(`#/${schemaAt}`);

interface Kind {
  /** `enclaver.v1.…` with parameters in braces. */
  address: string;
  type: string;
  schema: string;
  summary: string;
  action: 'send' | 'receive';
  /** What answers it. */
  reply?: { type: string; schema: string };
}

const kinds: Record<string, Kind> = {
  ...Object.fromEntries(
    enclaveEventNames.map((name) => [
      `enclave${camel(name)}`,
      {
        address: `enclaver.v1.enclave.{enclave}.${name}`,
        type: `enclaver.v1.enclave.${name}`,
        schema: `${camel(name)}Data`,
        summary: `${enclaveEventSources[name]}: ${schemas[`${camel(name)}Data`]?.description}`,
        action: 'send',
      } satisfies Kind,
    ]),
  ),
  log: {
    address: 'enclaver.v1.log.{enclave}.{kind}',
    type: 'enclaver.v1.log.{kind}',
    schema: 'LogBatch',
    summary: 'log-relay: lines of one enclave, in order',
    action: 'send',
  },
  warning: {
    address: 'enclaver.v1.warning.{service}.{code}',
    type: 'enclaver.v1.warning',
    schema: 'WarningEvent',
    summary: 'every service: something is not as it should be, or is again',
    action: 'send',
  },
  buildProgress: {
    address: 'enclaver.v1.build.{build}.progress',
    type: 'enclaver.v1.build.progress',
    schema: 'BuildProgress',
    summary: 'builder: what a build is doing',
    action: 'send',
  },
  ...Object.fromEntries(
    Object.entries(operations).flatMap(([service, of]) =>
      Object.entries(of).map(([name, { means }]) => [
        `${service}${camel(name)}`,
        {
          address: `enclaver.v1.${service}.${name}`,
          type: `enclaver.v1.${service}.${name}.request`,
          schema: `${camel(service)}${camel(name)}Request`,
          summary: `${service}: ${means}`,
          action: 'receive',
          reply: {
            type: `enclaver.v1.${service}.${name}.response`,
            schema: `${camel(service)}${camel(name)}Response`,
          },
        } satisfies Kind,
      ]),
    ),
  ),
};

const parameters: Record<string, object> = {
  enclave: { description: 'id of the enclave: `e-` and 12 hexadecimal digits' },
  kind: {
    description: '`records`: stdout, stderr and odyn, as each line says; `console`: the serial console',
    enum: [...logKinds],
  },
  service: { description: 'who raises it' },
  code: { description: 'the stable code of the warning' },
  build: { description: 'the `buildId` of the request' },
};

/** The message around its data. `type` has a parameter where the subject has. */
function message(name: string, type: string, schema: string, summary: string): object {
  return {
    name,
    summary,
    contentType: 'application/cloudevents+json',
    payload: {
      allOf: [
        ref(`${schemaAt}CloudEvent`),
        {
          type: 'object',
          properties: {
            ...(type.includes('{') ? {} : { type: { const: type } }),
            data: ref(`${schemaAt}${schema}`),
          },
        },
      ],
    },
  };
}

/** The AsyncAPI 3.0 document of the bus, from the side of Enclaver: it sends events and receives requests. */
export function asyncApi(): object {
  const channels: Record<string, object> = {};
  const messages: Record<string, object> = {
    error: message('error', '{request}.error', 'ErrorData', 'the answer to a request that failed'),
  };
  const sides: Record<string, object> = {};
  for (const [name, { address, type, schema, summary, action, reply }] of Object.entries(kinds)) {
    const named = [...address.matchAll(/\{(\w+)\}/g)].map(([, parameter = '']) => parameter);
    messages[name] = message(name, type, schema, summary);
    channels[name] = {
      address,
      messages: { [name]: ref(`components/messages/${name}`) },
      ...(named.length === 0
        ? {}
        : { parameters: Object.fromEntries(named.map((each) => [each, parameters[each] ?? {}])) }),
    };
    const answers = `${name}Reply`;
    if (reply !== undefined) {
      messages[answers] = message(answers, reply.type, reply.schema, `the answer to ${address}`);
      channels[answers] = {
        // The inbox that the request names
        address: null,
        messages: { [answers]: ref(`components/messages/${answers}`), error: ref('components/messages/error') },
      };
    }
    sides[name] = {
      action,
      channel: ref(`channels/${name}`),
      summary,
      ...(reply === undefined ? {} : { reply: { channel: ref(`channels/${answers}`) } }),
    };
  }
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'The bus of Enclaver',
      version: SCHEMA_VERSION,
      description:
        'Lifecycle events, logs, warnings and requests on NATS. Fields that are not named here may come with any version.',
      license: { name: 'Apache-2.0' },
    },
    servers: { local: { host: '127.0.0.1:4222', protocol: 'nats', description: 'nats-server of the stack' } },
    defaultContentType: 'application/cloudevents+json',
    channels,
    operations: sides,
    components: { messages, schemas },
  };
}
