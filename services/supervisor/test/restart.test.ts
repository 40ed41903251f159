import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import type { EnclaveRecord, RestartPolicy } from '@enclaver/bus';
import { limits } from '../src/limits.ts';
import { planRestart } from '../src/restart/policy.ts';
import { writeSmallImage } from './small-image.ts';
import { TestHost } from './test-host.ts';

describe('restart', () => {
  const host = TestHost.use();
  const quick = { restartPauseMs: 2, restartPauseMaxMs: 4 };
  const always = { restart: { policy: 'always' } } as const;

  /** Ends the app, and gives the enclave that follows. */
  async function endApp(code: number): Promise<{ ended: EnclaveRecord; next: string }> {
    const id = host.seen.findLast(({ name }) => name === 'ready')?.id ?? '';
    host.machine.say({ status: 'exited', code });
    const { data } = await host.until('exited', id);
    return { ended: await host.record(id, ({ state }) => state === 'exited'), next: data.restart?.id ?? '' };
  }

  it('puts a new enclave of the same name and on the same ports in the place of one that ended', async () => {
    await host.restart(quick);
    const first = await host.runTo('ready', {
      ...always,
      memoryMb: 300,
      publish: [{ listenPort: 8080, host: '127.0.0.1', port: 0 }],
    });
    host.bootTo('ready');
    const { next } = await endApp(0);
    await host.until('ready', next);
    const second = await host.record(next, ({ state }) => state === 'ready');
    const { ingress } = await host.record(first.id, ({ next }) => next === undefined);
    assert.deepEqual(second.ingress, ingress);
    assert.deepEqual([second.name, second.memoryMb, second.restarts, second.previous], [first.name, 300, 1, first.id]);
    assert.deepEqual(
      host.names(first.id).filter((name) => name === 'exited'),
      ['exited'],
      'one end',
    );
    const { next: third } = await endApp(1);
    await host.until('ready', third);
    const { restarts, previous } = await host.record(third, ({ state }) => state === 'ready');
    assert.deepEqual([restarts, previous], [2, next]);
    await host.supervisor.handlers.stop({ id: third });
  });

  it('has a place where as many enclaves run as may', async () => {
    await host.restart({ ...quick, enclaves: 1 });
    await host.runTo('ready', always);
    host.bootTo('ready');
    await assert.rejects(host.run({ name: 'one too many' }), { code: 'TOO_MANY_ENCLAVES' });
    const { next } = await endApp(0);
    const told = ({ id, name }: { id: string; name: string }) => id === next && (name === 'ready' || name === 'failed');
    while (!host.seen.some(told)) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(host.seen.find(told)?.name, 'ready');
    await host.supervisor.handlers.stop({ id: next });
  });

  it('goes on after a restart that could not be, and takes no other image for it', async () => {
    await host.restart(quick);
    await host.runTo('ready', always);
    host.bootTo('ready');
    await writeSmallImage(host.eif, {
      launch: JSON.stringify({ version: 1, argv: ['/evil'], env: [], user: '', workdir: '/', stopSignal: 'SIGTERM' }),
    });
    const { next } = await endApp(0);
    const changed = await host.until('failed', next);
    assert.equal(changed.data.result.kind === 'failed' && changed.data.result.error.code, 'MEASUREMENTS_DIFFER');
    await rm(host.eif);
    const missing = await host.until('failed', changed.data.restart?.id);
    await writeSmallImage(host.eif);
    assert.ok(missing.data.restart !== undefined);
    for (let id: string | undefined = missing.data.restart.id; ; ) {
      const end = host.seen.find((event) => event.id === id && event.name === 'failed');
      if (end?.name === 'failed') id = end.data.restart?.id;
      if (host.seen.some((event) => event.id === id && event.name === 'ready')) break;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await host.supervisor.handlers.stop({ id: 'hello' });
  });

  it('does not come after a stop, a refusal, or an end that the policy is content with', async () => {
    await host.restart(quick);
    const stopped = await host.runTo('ready', always);
    await host.supervisor.handlers.stop({ id: stopped.id, graceMs: 0 });
    host.machine.say({ status: 'signaled', signal: 'SIGTERM' });
    assert.equal((await host.until('exited', stopped.id)).data.restart, undefined);
    await host.gone(stopped.id);
    host.proxy.open = 'failed';
    const refused = await host.run(always);
    assert.equal((await host.until('failed', refused.id)).data.restart, undefined);
    await host.gone(refused.id);
    host.proxy.open = 'ready';
    const well = await host.runTo('ready', { restart: { policy: 'on-failure' } });
    host.machine.say({ status: 'exited', code: 0 });
    assert.equal((await host.until('exited', well.id)).data.restart, undefined);
    await host.gone(well.id);
    assert.deepEqual((await host.supervisor.handlers.list({})).enclaves, []);
  });

  it('is taken back by a stop of the name while it is still to come', async () => {
    await host.restart({ restartPauseMs: 3_600_000, restartPauseMaxMs: 3_600_000 });
    const { id } = await host.runTo('ready', always);
    const { next } = await endApp(1);
    await host.gone(id);
    await assert.rejects(host.run(), { code: 'NAME_IN_USE', message: /is about to be started again/ });
    assert.deepEqual(
      (await host.supervisor.handlers.list({})).enclaves.map(({ id }) => id),
      [id],
    );
    const { enclave } = await host.supervisor.handlers.stop({ id: 'hello' });
    assert.deepEqual([enclave.id, enclave.next], [id, undefined]);
    assert.equal((await host.until('restart-cancelled', id)).data.restart.id, next);
    assert.equal((await host.bus.enclaves.get(id))?.next, undefined);
    assert.deepEqual((await host.supervisor.handlers.list({})).enclaves, []);
    await host.run();
  });

  it('goes on under the next supervisor, once', async () => {
    await host.restart({ restartPauseMs: 6_000, restartPauseMaxMs: 6_000 });
    const { id } = await host.runTo('ready', always);
    const { next } = await endApp(1);
    await host.gone(id);
    await host.restart(quick);
    host.bootTo('ready');
    await host.until('requested', next);
    await host.record(id, (record) => record.next === undefined);
    // As a supervisor leaves it that is killed between the two writes
    const { ended } = { ended: await host.record(id, () => true) };
    await host.until('ready', next);
    await host.supervisor.close();
    await host.bus.enclaves.put({ ...ended, next: { id: next, afterMs: 1, restarts: 1, streak: 1 } });
    host.supervisor = await host.start(quick);
    assert.equal((await host.bus.enclaves.get(id))?.next, undefined);
    assert.equal(host.backend.machines.length, 2);
    assert.equal(host.names(next).filter((name) => name === 'requested').length, 1);
  });

  it('comes for an enclave that ended while no supervisor ran', async () => {
    const { id } = await host.runTo('ready', always);
    await host.supervisor.close();
    await host.machine.die();
    host.bootTo('ready');
    host.supervisor = await host.start(quick);
    const { data } = await host.until('lost', id);
    await host.until('ready', data.restart?.id);
  });

  it('pauses longer with each in a row, within bounds and never twice the same, and starts a new row when it was well', () => {
    const ended = (restart: RestartPolicy, more: Partial<EnclaveRecord> = {}) =>
      ({ restart, state: 'lost', times: { launching: 'then' }, ...more }) as EnclaveRecord;
    const plan = (streak: number, wellMs = 0) => planRestart(ended({ policy: 'always' }, { streak }), wellMs, limits);
    for (const [streak, longest] of [
      [0, 1_000],
      [1, 2_000],
      [5, 32_000],
      [6, 60_000],
      [1_000, 60_000],
    ] as const) {
      const pauses = Array.from({ length: 50 }, () => plan(streak)?.afterMs ?? 0);
      assert.ok(
        pauses.every((ms) => ms >= longest / 2 && ms <= longest),
        `${streak}: ${pauses}`,
      );
      assert.ok(new Set(pauses).size > 5, 'they differ');
    }
    assert.equal(plan(6, limits.restartHealthyMs)?.streak, 1);
    assert.equal(plan(6, limits.restartHealthyMs - 1)?.streak, 7);
    const three = (streak: number, wellMs = 0) =>
      planRestart(ended({ policy: 'on-failure', max: 3 }, { streak, restarts: 40 }), wellMs, limits)?.restarts;
    assert.deepEqual([three(2), three(3), three(3, limits.restartHealthyMs)], [41, undefined, 41]);
  });
});
