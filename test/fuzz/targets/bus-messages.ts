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
import { record } from '../../../libs/bus/test/record.ts';
import { readOrRefuse } from '../target.ts';

const id = 'e-000000000001';

export const seeds = [
  encodeCloudEvent('cli', 'enclaver.v1.supervisor.run', {
    name: 'web',
    eif: '/a.eif',
    cpuCount: 2,
    memoryMb: 512,
    debug: false,
    publish: [
      { listenPort: 80, host: '127.0.0.1', port: 80, protocol: 'http', route: { host: 'a.example', path: '/v1' } },
    ],
    egress: true,
    restart: { policy: 'on-failure', max: 3 },
    limits: { maxConnections: 10 },
  }),
  encodeCloudEvent('cli', 'enclaver.v1.builder.extract', { image: 'app:1', platform: 'linux/amd64' }),
  encodeCloudEvent('cli', 'enclaver.v1.supervisor.stop', { id, graceMs: 1000 }),
  encodeCloudEvent(
    'supervisor',
    'enclaver.v1.enclave.exited',
    { id, code: 3, result: { kind: 'exited', code: 3 } },
    id,
  ),
  encodeCloudEvent('log-relay', 'enclaver.v1.log.records', {
    lines: [
      { time: '2026-01-01T00:00:00.000123Z', text: 'a line', sequence: 1, continues: true, encoding: 'base64' },
      { time: '2026-01-01T00:00:00.000123Z', text: 'another', sequence: 2, stream: 'stderr' },
    ],
    lost: 1,
    next: 3,
    lostInAll: 1,
  }),
  encodeCloudEvent('supervisor', 'enclaver.v1.enclave', record, id),
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
