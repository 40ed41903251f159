import { traced } from '@enclaver/telemetry';
import { headers, type NatsConnection, ServiceErrorCodeHeader, ServiceErrorHeader, type ServiceMsg } from 'nats';
import type * as z from 'zod';
import { errorDataSchema, toErrorData } from './bus-error.ts';
import { decodeCloudEvent, encodeCloudEvent } from './cloud-event.ts';
import {
  type OperationName,
  type OperationRequest,
  type OperationResponse,
  operations,
  type ServiceName,
} from './operations.ts';
import { SCHEMA_VERSION } from './schema-version.ts';
import { subjects } from './subjects.ts';
import { traceparentOf } from './trace-headers.ts';

/** Tells our services from others on a shared server. */
export const SERVICE_PREFIX = 'enclaver-';

/** What `nats micro info` shows beside name and version. */
export const SERVICE_METADATA = { schema: SCHEMA_VERSION };

/** A service answers all of its operations: one function each, whose error becomes the caller's `BusError`. */
export type OperationHandlers<S extends ServiceName> = {
  [O in OperationName<S>]: (request: OperationRequest<S, O>) => Promise<OperationResponse<S, O>>;
};

/** Registers a service with the NATS Services API; several processes of one name share its requests. */
export async function serveOperations<S extends ServiceName>(
  connection: NatsConnection,
  source: string,
  service: S,
  version: string,
  handlers: OperationHandlers<S>,
): Promise<void> {
  const name = `${SERVICE_PREFIX}${service}`;
  const registered = await connection.services.add({ name, version, metadata: SERVICE_METADATA });
  for (const [operation, handler] of Object.entries(handlers)) {
    const schemas = (operations[service] as Record<string, { request: z.ZodType; response: z.ZodType }>)[operation];
    if (schemas === undefined) throw new TypeError(`${service} has no operation ${operation}`);
    const subject = subjects.operation(service, operation);
    registered.addEndpoint(operation, {
      subject,
      handler: (error, message) => {
        // What JetStream was made to send here came in under another subject: its sender may not publish to this one
        if (error !== null || message.subject !== subject) return;
        void answer(
          message,
          source,
          `${service}.${operation}`,
          subject,
          schemas,
          handler as (request: unknown) => Promise<unknown>,
        );
      },
    });
  }
  // The caller may announce itself as started once the server knows the endpoints
  await connection.flush();
}

async function answer(
  message: ServiceMsg,
  source: string,
  name: string,
  subject: string,
  schemas: { request: z.ZodType; response: z.ZodType },
  handler: (request: unknown) => Promise<unknown>,
): Promise<void> {
  try {
    const request = decodeCloudEvent(message.data, schemas.request).data;
    const span = { kind: 'server', parent: traceparentOf(message) } as const;
    const response = await traced(name, span, () => handler(request));
    message.respond(encodeCloudEvent(source, `${subject}.response`, response));
  } catch (error) {
    const data = errorDataSchema.parse(toErrorData(error));
    const marked = headers();
    marked.set(ServiceErrorCodeHeader, data.code === 'INTERNAL' ? '500' : '400');
    marked.set(ServiceErrorHeader, data.code);
    message.respond(encodeCloudEvent(source, `${subject}.error`, data), { headers: marked });
  }
}
