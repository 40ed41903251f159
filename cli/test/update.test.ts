import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus, type EnclaveRecord, type OperationHandlers } from '@enclaver/bus';
import { NatsProcess } from '../../libs/bus/test/nats-process.ts';
import { record } from '../../libs/bus/test/record.ts';
import { enclaver } from '../../test/stack/enclaver.ts';

/** A real bus, on which the test says what becomes of the update. */
describe('enclaver update', function () {
  this.timeout(60_000);

  it('fails where the ports go back to the old enclave, since somebody has stopped the new one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cli-update-'));
    await using nats = await NatsProcess.start();
    const bus = await Bus.connect({ source: 'test/supervisor', credentials: nats.credentials });
    const [old, next]: [EnclaveRecord, EnclaveRecord] = [
      { ...record, id: 'e-000000000001' },
      { ...record, id: 'e-000000000002' },
    ];
    const { ingress } = record;
    await bus.serve('supervisor', '0.1.0', {
      ...({} as OperationHandlers<'supervisor'>),
      update: async () => {
        await bus.publishEvent(next.id, 'handed-over', { from: old.id, to: next.id, ingress });
        await bus.publishEvent(next.id, 'stopping', { graceMs: 1 });
        await bus.publishEvent(old.id, 'handed-over', { from: next.id, to: old.id, ingress });
        await bus.publishEvent(next.id, 'exited', { result: { kind: 'exited', code: 0 } });
        return { enclave: next, replaces: old };
      },
    });
    const env = { ENCLAVER_BUS: join(folder, 'bus.json') };
    await writeFile(env.ENCLAVER_BUS, JSON.stringify(nats.as('cli')), { mode: 0o600 });
    await writeFile(join(folder, 'next.eif'), '');
    const { code, stdout, stderr } = await enclaver(['update', 'web', join(folder, 'next.eif')], env);
    assert.deepEqual([code, stdout], [1, ''], stderr);
    assert.match(stderr, /^error\[UPDATE_FAILED\]/m);
    await bus.close();
    await rm(folder, { recursive: true });
  });
});
