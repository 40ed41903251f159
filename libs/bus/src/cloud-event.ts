import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { BusError } from './bus-error.ts';
import { checkDataSchema, DATA_SCHEMA } from './schema-version.ts';

/** CloudEvents 1.0, structured JSON mode: the envelope of every message on the bus (cloudevents.io, NATS binding 1.0.1). */
export const envelopeSchema = z.object({
  specversion: z.literal('1.0'),
  id: z.string().describe('one for each message: the same again is the same message'),
  source: z.string().describe('the process that says it'),
  type: z.string().describe('the subject with ids left out'),
  subject: z.string().optional().describe('id of the enclave, where it is about one'),
  time: z.string().describe('ISO 8601'),
  dataschema: z.string().optional().describe('`urn:enclaver:bus:<major>.<minor>`, the version of the schemas'),
  datacontenttype: z.literal('application/json'),
  data: z.unknown(),
});

export interface CloudEvent<T> {
  id: string;
  source: string;
  type: string;
  /** ISO 8601. */
  time: string;
  data: T;
}

/** `type` is the subject with ids left out, e.g. `enclaver.v1.enclave.ready`; `subject` the id of the enclave it is about. */
export function encodeCloudEvent(source: string, type: string, data: unknown, subject?: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      specversion: '1.0',
      id: randomUUID(),
      source,
      type,
      subject,
      time: new Date().toISOString(),
      dataschema: DATA_SCHEMA,
      datacontenttype: 'application/json',
      data,
    }),
  );
}

/**
 * With `wanted`, only of that type: a service's answer can have been sent to any subject.
 * Errors: `BUS_MESSAGE_INVALID` for anything but an envelope around data that `schema` accepts; `BUS_SCHEMA_UNSUPPORTED`.
 */
export function decodeCloudEvent<T>(payload: Uint8Array, schema: z.ZodType<T>, wanted?: string): CloudEvent<T> {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8'));
  } catch (cause) {
    throw new BusError({ code: 'BUS_MESSAGE_INVALID', message: 'bus message is not JSON' }, { cause });
  }
  const envelope = envelopeSchema.safeParse(json);
  if (!envelope.success) {
    throw new BusError({
      code: 'BUS_MESSAGE_INVALID',
      message: `bus message is not a CloudEvent: ${z.prettifyError(envelope.error)}`,
    });
  }
  checkDataSchema(envelope.data.dataschema);
  if (wanted !== undefined && envelope.data.type !== wanted) {
    const message = `bus message is of the type ${envelope.data.type}, where ${wanted} belongs`;
    throw new BusError({ code: 'BUS_MESSAGE_INVALID', message });
  }
  const data = schema.safeParse(envelope.data.data);
  if (!data.success) {
    throw new BusError({
      code: 'BUS_MESSAGE_INVALID',
      message: `data of ${envelope.data.type} is not valid: ${z.prettifyError(data.error)}`,
    });
  }
  const { id, source, type, time } = envelope.data;
  return { id, source, type, time, data: data.data };
}
