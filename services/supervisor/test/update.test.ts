import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { EnclaveRecord, OperationRequest } from '@enclaver/bus';
import { writeSmallImage } from './small-image.ts';
import { TestHost, timings } from './test-host.ts';

describe('update', () => {
  const host = TestHost.use();
  let nextEif: string;

  beforeEach(async () => {
    nextEif = join(host.folder, 'next.eif');
    const launch = JSON.stringify({
      version: 1,
      argv: ['/v2'],
      env: [],
      user: '',
      workdir: '/',
      stopSignal: 'SIGTERM',
    });
    await writeSmallImage(nextEif, { launch });
  });

  type Request = OperationRequest<'supervisor', 'update'>;
  const update = async (more: Partial<Request> = {}): Promise<EnclaveRecord> =>
    (await host.supervisor.handlers.update({ id: 'hello', eif: nextEif, ...more })).enclave;
  const ended = async (id: string) => (await host.until('failed', id)).data.result;

  /** A first enclave that is ready and ends when it is asked to; what follows it boots to `phase` by itself. */
  async function old(phase: 'starting' | 'ready', restart?: EnclaveRecord['restart']): Promise<EnclaveRecord> {
    const { id } = await host.runTo('ready', {
      cpuCount: 3,
      memoryMb: 300,
      limits: { ingressConnections: 5 },
      ...(restart === undefined ? {} : { restart }),
    });
    const { machine } = host;
    machine.onControl = () => machine.say({ status: 'signaled', signal: 'SIGTERM' });
    host.bootTo(phase);
    return await host.record(id, ({ state }) => state === 'ready');
  }

  it('starts the new enclave beside the old one, gives it the ports when it is ready, and stops the old one then', async () => {
    const first = await old('ready', { policy: 'always' });
    const accepted = await update();
    assert.deepEqual([accepted.ingress, accepted.takesOver, accepted.replaces], [[], first.id, first.id]);
    const { data } = await host.until('handover', accepted.id);
    assert.deepEqual(data, { from: first.id, to: accepted.id, ingress: first.ingress });
    const end = await host.until('exited', first.id);
    assert.equal(end.data.restart, undefined);
    const second = await host.record(accepted.id, (record) => record.update === undefined);
    assert.deepEqual(second.ingress, first.ingress);
    assert.deepEqual(
      [second.name, second.cpuCount, second.memoryMb, second.restart, second.takesOver],
      ['hello', 3, 300, { policy: 'always' }, undefined],
    );
    assert.deepEqual(second.limits, { ingressConnections: 5 });
    assert.notEqual(second.measurements.PCR2, first.measurements.PCR2);
    const order = host.seen.map(({ id, name }) => `${id === first.id ? 'old' : 'new'} ${name}`);
    const at = ['new ready', 'new handover', 'new handed-over', 'old stopping', 'old exited'].map((each) =>
      order.indexOf(each),
    );
    assert.deepEqual(
      at,
      at.toSorted((a, b) => a - b),
    );
    assert.ok(!at.includes(-1));
    await host.gone(first.id);
    assert.deepEqual(
      (await host.supervisor.handlers.list({})).enclaves.map(({ id }) => id),
      [accepted.id],
    );
    assert.equal((await host.supervisor.handlers.describe({ id: 'hello' })).enclave.id, accepted.id);
  });

  it('waits for the connections of the old enclave, as long as it is told', async () => {
    const first = await old('ready');
    host.proxy.handover = 'undrained';
    const { id } = await update({ drainMs: 3_600_000, graceMs: 77 });
    await host.until('handed-over', id);
    await host.record(first.id, ({ ingress }) => ingress.length === 0);
    assert.ok(!host.names(first.id).includes('stopping'));
    await host.bus.publishEvent(id, 'drained', { from: first.id, to: id });
    assert.equal((await host.until('stopping', first.id)).data.graceMs, 77);
  });

  for (const [why, code, arrange] of [
    [
      'ends before it is ready',
      undefined,
      async (id: string) => {
        await host.until('starting', id);
        host.machine.say({ status: 'exited', code: 4 });
      },
    ],
    ['is not ready in time', 'START_TIMEOUT', async () => undefined],
    [
      'cannot have the ports',
      'LISTEN_FAILED',
      async (id: string) => {
        host.proxy.handover = 'failed';
        await host.until('starting', id);
        host.machine.say({ status: 'running', phase: 'ready', timings });
      },
    ],
    [
      'gets no answer about the ports',
      'HANDOVER_SILENT',
      async (id: string) => {
        host.proxy.handover = 'silent';
        await host.until('starting', id);
        host.machine.say({ status: 'running', phase: 'ready', timings });
      },
    ],
    [
      'is stopped',
      undefined,
      async (id: string) => {
        await host.until('starting', id);
        host.machine.onControl = () => host.machine.say({ status: 'exited', code: 0 });
        await host.supervisor.handlers.stop({ id });
      },
    ],
  ] as const) {
    it(`leaves the old enclave untouched when the new one ${why}`, async () => {
      await host.restart({ handoverRetryMs: 10, handoverMs: 30 });
      const first = await old('starting', { policy: 'always' });
      const { id } = await update(code === 'START_TIMEOUT' ? { startTimeoutMs: 50 } : {});
      await arrange(id);
      if (code === undefined) assert.equal((await host.until('exited', id)).data.restart, undefined);
      else {
        const result = await ended(id);
        assert.equal(result.kind === 'failed' && result.error.code, code);
      }
      // An outer-proxy that was silent may still do as it was asked
      if (code === 'HANDOVER_SILENT') {
        const { data } = await host.until('handover', first.id);
        assert.deepEqual(data, { from: id, to: first.id, ingress: first.ingress });
      }
      await host.gone(id);
      assert.deepEqual(await host.bus.enclaves.get(first.id), first);
      assert.equal((await host.supervisor.handlers.describe({ id: 'hello' })).enclave.id, first.id);
    });
  }

  for (const [when, isRestarted] of [
    ['while its ports are moved to it', false],
    ['before a supervisor that goes on with the update', true],
  ] as const) {
    it(`is taken back by a stop of the new enclave ${when}`, async () => {
      await host.restart({ handoverRetryMs: 10 });
      const first = await old('ready');
      host.proxy.handover = 'silent';
      const { id } = await update();
      const { data } = await host.until('handover', id);
      const newMachine = host.machine;
      await host.supervisor.handlers.stop({ id, graceMs: 3_600_000 });
      await host.until('stopping', id);
      if (isRestarted) await host.restart();
      await host.bus.publishEvent(id, 'handed-over', data);
      await host.bus.publishEvent(id, 'drained', { from: first.id, to: id });
      assert.equal((await host.until('handover', first.id)).data.from, id);
      newMachine.say({ status: 'exited', code: 0 });
      await host.gone(id);
      assert.deepEqual(await host.bus.enclaves.get(first.id), first);
      assert.ok(!host.names(first.id).includes('stopping'));
    });
  }

  it('is refused for what does not run, while another goes on, and for an image without the ports', async () => {
    await assert.rejects(update(), { code: 'ENCLAVE_NOT_FOUND' });
    await old('starting');
    const bare = join(host.folder, 'bare.eif');
    await writeSmallImage(bare, { manifest: 'version: v1\nname: hello\ntarget: a:b\nsources: {app: a}\n' });
    await assert.rejects(update({ eif: bare }), { code: 'PORT_NOT_IN_MANIFEST' });
    host.backend.host = { memoryMb: { total: 500, remedy: '' } };
    await assert.rejects(update(), { code: 'HOST_FULL' });
    host.backend.host = {};
    const { id } = await update();
    await assert.rejects(update(), { code: 'UPDATE_RUNNING', message: new RegExp(id) });
  });

  it('ends with both enclaves when somebody stops the name', async () => {
    const first = await old('starting');
    const { id } = await update();
    await host.until('starting', id);
    host.machine.onControl = () => host.machine.say({ status: 'exited', code: 0 });
    await host.supervisor.handlers.stop({ id: 'hello' });
    await host.until('exited', id);
    await host.until('exited', first.id);
  });

  it('takes the place of an old enclave that ends meanwhile, and of the one that a restart has put there', async () => {
    await host.restart({ restartPauseMs: 2, restartPauseMaxMs: 4 });
    const first = await old('starting', { policy: 'always' });
    const oldMachine = host.machine;
    const { id } = await update();
    await host.until('starting', id);
    const newMachine = host.machine;
    oldMachine.say({ status: 'exited', code: 1 });
    const { data } = await host.until('exited', first.id);
    const restarted = data.restart?.id ?? '';
    await host.until('starting', restarted);
    const third = host.machine;
    third.onControl = () => third.say({ status: 'exited', code: 0 });
    newMachine.say({ status: 'running', phase: 'ready', timings });
    assert.equal((await host.until('handover', id)).data.from, restarted);
    assert.equal((await host.until('exited', restarted)).data.restart, undefined);
    assert.equal((await host.record(id, ({ update }) => update === undefined)).replaces, restarted);
  });

  for (const [what, pauseMs] of [
    ['is to come', 3_600_000],
    ['has come', 2],
  ] as const) {
    it(`ends a restart of the old enclave that ${what} when it ends while its ports are moved`, async () => {
      await host.restart({ restartPauseMs: pauseMs, restartPauseMaxMs: pauseMs });
      const first = await old('ready', { policy: 'always' });
      const oldMachine = host.machine;
      host.proxy.handover = 'silent';
      const { id } = await update();
      const { data } = await host.until('handover', id);
      oldMachine.say({ status: 'exited', code: 1 });
      const again = (await host.until('exited', first.id)).data.restart?.id ?? '';
      if (what === 'has come') {
        await host.until('ready', again);
        const third = host.machine;
        third.onControl = () => third.say({ status: 'exited', code: 0 });
      }
      await host.bus.publishEvent(id, 'handed-over', data);
      await host.bus.publishEvent(id, 'drained', { from: first.id, to: id });
      await host.record(id, (record) => record.update === undefined);
      await host.gone(again);
      assert.deepEqual(
        (await host.supervisor.handlers.list({})).enclaves.map((each) => each.id),
        [id],
      );
      if (what === 'has come') assert.equal((await host.until('exited', again)).data.restart, undefined);
      else assert.equal((await host.until('restart-cancelled', first.id)).data.restart.id, again);
    });
  }

  it('goes on under the next supervisor: before the ports are moved, and after', async () => {
    const first = await old('starting');
    const { id } = await update();
    await host.until('starting', id);
    host.proxy.handover = 'silent';
    await host.restart();
    host.machine.say({ status: 'running', phase: 'ready', timings });
    const { data } = await host.until('handover', id);
    host.proxy.handover = 'undrained';
    await host.supervisor.close();
    // The answer comes while nobody is there
    await host.bus.publishEvent(id, 'handed-over', data);
    host.seen = [];
    host.supervisor = await host.start();
    await host.until('handover', id);
    await host.record(id, ({ takesOver }) => takesOver === undefined);
    assert.ok(!host.names(first.id).includes('stopping'));
    await host.restart();
    await host.bus.publishEvent(id, 'drained', { from: first.id, to: id });
    await host.until('exited', first.id);
    assert.deepEqual((await host.record(id, ({ update }) => update === undefined)).ingress, first.ingress);
  });
});
