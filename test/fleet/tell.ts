import { Bus } from '@enclaver/bus';
import { record } from '../../libs/bus/test/record.ts';

/**
 * Stands for an enclave of a parent, which this test does not boot: enters its record, and tells events of it, as the
 * supervisor does.   tell.ts <credentials> <name> <event>…
 */
const [credentials = '', name = '', ...events] = process.argv.slice(2);

await using bus = await Bus.connect({ source: 'test', credentials });
const id = `e-${Buffer.from(name).toString('hex').padEnd(12, '0').slice(0, 12)}`;
await bus.enclaves.put({
  ...record,
  id,
  name,
  state: 'exited',
  times: { ...record.times, exited: '2026-01-01T00:00:01.000Z' },
  result: { kind: 'exited', code: 0 },
});
for (const event of events) await bus.publishEvent(id, 'unhealthy', { reason: event });
