import { Bus, type EnclaveRecord } from '@enclaver/bus';

/**
 * Stands for an enclave of a parent, which this test does not boot: enters its record, and tells events of it, as the
 * supervisor does.   tell.ts <credentials> <name> <event>…
 */
const [credentials = '', name = '', ...events] = process.argv.slice(2);

await using bus = await Bus.connect({ source: 'test', credentials });
const id = `e-${Buffer.from(name).toString('hex').padEnd(12, '0').slice(0, 12)}`;
const record: EnclaveRecord = {
  id,
  name,
  state: 'exited',
  backend: 'qemu',
  eif: '/var/lib/enclaver/app.eif',
  measurements: { PCR0: '0'.repeat(96), PCR1: '0'.repeat(96), PCR2: '0'.repeat(96) },
  cpuCount: 2,
  memoryMb: 512,
  debug: false,
  vsock: { type: 'unix', path: '/run/enclaver/vsock' },
  ingress: [{ listenPort: 8080, host: '127.0.0.1', port: 8080 }],
  egress: true,
  times: { requested: '2026-01-01T00:00:00.000Z', exited: '2026-01-01T00:00:01.000Z' },
  result: { kind: 'exited', code: 0 },
};
await bus.enclaves.put(record);
for (const event of events) await bus.publishEvent(id, 'unhealthy', { reason: event });
