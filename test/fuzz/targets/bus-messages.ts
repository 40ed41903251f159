import {
  BusError,
  enclaveEventSchemas,
  enclaveRecordSchema,
  logEntries,
  operations,
  warningEventSchema,
} from '@enclaver/bus';
import type * as z from 'zod';
import { decodeCloudEvent, encodeCloudEvent } from '../../../libs/bus/src/cloud-event.ts';
import { logBatchSchema } from '../../../libs/bus/src/logs.ts';
import { readOrRefuse } from '../target.ts';

const line = { time: '2026-01-01T00:00:00Z', text: 'a line' };

export const seeds = [
  encodeCloudEvent('cli', 'enclaver.v1.supervisor.run', {
    name: 'web',
    eifPath: '/a.eif',
    cpuCount: 2,
    memoryMb: 512,
    publish: [{ port: 80, listenPort: 80 }],
  }),
  encodeCloudEvent('cli', 'enclaver.v1.supervisor.stop', { id: 'e-000000000001', graceMs: 1000 }),
  encodeCloudEvent('supervisor', 'enclaver.v1.enclave.exited', { id: 'e-000000000001', code: 3 }, 'e-000000000001'),
  encodeCloudEvent('log-relay', 'enclaver.v1.log.stdout', { lines: [line], lost: 0 }),
];

const schemas: z.ZodType[] = [
  ...Object.values(operations).flatMap((service) =>
    Object.values(service).flatMap(({ request, response }: { request: z.ZodType; response: z.ZodType }) => [
      request,
      response,
    ]),
  ),
  ...Object.values(enclaveEventSchemas),
  enclaveRecordSchema,
  warningEventSchema,
];

/** Everything that services take from the bus. */
export function fuzz(input: Buffer): void {
  for (const schema of schemas) readOrRefuse(() => decodeCloudEvent(input, schema), BusError);
  const batch = readOrRefuse(() => decodeCloudEvent(input, logBatchSchema), BusError);
  if (batch !== undefined) logEntries({ id: 'e-000000000001', stream: 'stdout', lost: 0, ...batch.data } as never);
}
