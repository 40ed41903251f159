import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { BusError } from './bus-error.ts';

/** CloudEvents 1.0, structured JSON mode: the envelope of every message on the bus (cloudevents.io, NATS binding 1.0.1). */
const envelopeSchema = z.object({
  specversion: z.literal('1.0'),
  id: z.string(),
  source: z.string(),
  type: z.string(),
  time: z.string(),
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

/** `type` is the subject with ids left out, e.g. `enclaver.v1.enclave.ready`. */
export function encodeCloudEvent(source: string, type: string, data: unknown): Buffer {
  return Buffer.from(
    JSON.stringify({
      specversion: '1.0',
      id: randomUUID(),
      source,
      type,
      time: new Date().toISOString(),
      datacontenttype: 'application/json',
      data,
    }),
  );
}

/** Throws `BUS_MESSAGE_INVALID` for anything that is not an envelope around data that `schema` accepts. */
export function decodeCloudEvent<T>(payload: Uint8Array, schema: z.ZodType<T>): CloudEvent<T> {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(payload).toString('utf8'));
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
  const data = schema.safeParse(envelope.data.data);
  if (!data.success) {
    throw new BusError({
      code: 'BUS_MESSAGE_INVALID',
      message: `data of ${envelope.data.type} is not valid: ${z.prettifyError(data.error)}`,
    });
  }
  return { ...envelope.data, data: data.data };
}
