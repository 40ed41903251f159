import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { STATUS_PORT } from '@enclaver/wire';
import { publishLines } from '../../../libs/bus/test/log-lines.ts';
import { limits } from '../src/limits.ts';
import { TestHost } from './test-host.ts';

describe('end of an enclave', () => {
  const host = TestHost.use();

  it('ends an enclave whose status is not valid, or has no end', async () => {
    for (const line of ['{"status":"fatal","error":"not "escaped""}\n', `{"status":"${'x'.repeat(10_000)}`]) {
      host.seen = [];
      const { id } = await host.runTo('starting');
      host.machine.say(Buffer.from(line));
      const { result } = (await host.until('failed')).data;
      assert.equal(result.kind === 'failed' && result.error.code, 'STATUS_INVALID');
      await host.gone(id);
    }
  });

  it('notices a machine that dies without waiting for its status port (D3)', async () => {
    const { id } = await host.runTo('ready');
    const since = performance.now();
    void host.machine.die();
    const { data } = await host.until('lost');
    assert.ok(performance.now() - since < limits.statusSilenceMs / 10);
    assert.deepEqual(data.result, {
      kind: 'lost',
      error: { code: 'MACHINE_ENDED', message: 'the machine ended: died' },
    });
    await host.gone(id);
  });

  it('tells what the kernel said when it panicked under the app', async () => {
    const { id } = await host.runTo('ready');
    const text = '[    9.1] Kernel panic - not syncing: System is deadlocked on memory';
    const time = new Date().toISOString();
    await publishLines(host.bus, id, 'console', [{ sequence: 1, time, text }]);
    void host.machine.die('reset');
    const { data } = await host.until('lost');
    assert.ok(data.result.kind === 'lost');
    const { code, message, remedy } = data.result.error;
    assert.deepEqual(
      [code, message],
      ['KERNEL_PANIC', "the enclave's kernel panicked: System is deadlocked on memory"],
    );
    assert.match(remedy ?? '', /--memory-mb/);
    assert.deepEqual(data.console, [text]);
    await host.gone(id);
  });

  it('keeps why the app was killed', async () => {
    const { id } = await host.runTo('ready');
    const end = { signal: 'SIGKILL', cause: 'out-of-memory', detail: 'the kernel ended process 7 (app)' };
    host.machine.say({ status: 'signaled', ...end });
    assert.deepEqual((await host.until('exited')).data.result, { kind: 'signaled', ...end });
    await host.gone(id);
  });

  it('takes the last word of a machine that powers itself off right after it', async () => {
    await host.runTo('ready');
    host.machine.say({ status: 'exited', code: 0 });
    void host.machine.die('power-off');
    assert.deepEqual((await host.until('exited')).data.result, { kind: 'exited', code: 0 });
  });

  it('takes up a status connection that breaks, and gives up on one that stays away', async () => {
    await host.restart({ statusSilenceMs: 2_000 });
    await host.runTo('ready');
    host.machine.cut();
    host.machine.say({ status: 'running', phase: 'unhealthy', reason: 'port 8080 is closed' });
    assert.deepEqual((await host.until('unhealthy')).data, { reason: 'port 8080 is closed' });
    host.machine.mute();
    const { result } = (await host.until('lost')).data;
    assert.equal(result.kind === 'lost' && result.error.code, 'STATUS_SILENT');
  });

  it('notices an enclave whose status connection is open, and that takes no other', async () => {
    await host.restart({ statusProbePauseMs: 10, statusAnswerMs: 100 });
    const { id } = await host.runTo('ready');
    host.machine.guest.deafen();
    const { result } = (await host.until('lost')).data;
    assert.deepEqual(result.kind === 'lost' && result.error, {
      code: 'STATUS_SILENT',
      message: "the enclave's status port took no connection, or said nothing on it, 3 times for 100 ms",
    });
    await host.gone(id);
    assert.ok(host.machine.killed);
  });

  it('leaves its address to nobody until its machine is gone', async () => {
    await host.restart({ statusSilenceMs: 50, logMs: 3_600_000 });
    const { id, vsock } = await host.runTo('ready');
    host.machine.mute();
    await host.until('lost');
    await host.run({ name: 'while it is heard out' });
    assert.deepEqual(host.backend.used, [vsock]);
    await host.bus.publishEvent(id, 'log-ended', { lines: 0, lost: 0 });
    await host.gone(id);
    await host.run({ name: 'afterwards' });
    assert.ok(
      !host.backend.used.some((used) => used.type === 'unix' && vsock.type === 'unix' && used.path === vsock.path),
    );
  });

  it('does not wait for the first word of an enclave that takes connections and says nothing', async () => {
    await host.restart({ statusProbePauseMs: 10, statusAnswerMs: 100 });
    host.backend.onLaunch = (machine) => {
      machine.guest.on(STATUS_PORT, () => undefined);
      machine.boots();
    };
    await host.run();
    const { result } = (await host.until('failed')).data;
    assert.equal(result.kind === 'failed' && result.error.code, 'BOOT_TIMEOUT');
  });

  it('keeps an enclave that answers at its status port again and again, or refuses to', async () => {
    await host.restart({ statusProbePauseMs: 1, statusAnswerMs: 10_000 });
    await host.runTo('ready');
    const { guest } = host.machine;
    const asked = async (times: number): Promise<void> => {
      for (const from = guest.accepted; guest.accepted < from + times; ) await sleep(1);
    };
    await asked(10);
    guest.off(STATUS_PORT);
    await asked(10);
    host.machine.say({ status: 'running', phase: 'unhealthy', reason: 'on the first connection' });
    await host.until('unhealthy');
    assert.ok(!host.names().includes('lost'));
  });

  it('is told as an exit code once the last enclave has ended and none follows', async () => {
    let code: number | undefined;
    const { supervisor } = host;
    void supervisor.deserted.then((told) => {
      code = told;
    });
    const first = await host.runTo('ready', { restart: { policy: 'on-failure' } });
    const firstMachine = host.machine;
    const second = await host.runTo('ready', { name: 'other' });
    host.machine.say({ status: 'exited', code: 9 });
    await host.gone(second.id);
    firstMachine.say({ status: 'exited', code: 4 });
    const { data } = await host.until('exited', first.id);
    await host.gone(first.id);
    assert.equal(code, undefined, 'a restart is to come');
    host.bootTo('ready');
    await host.until('ready', data.restart?.id);
    host.machine.say({ status: 'signaled', signal: 'SIGSEGV' });
    await host.until('exited', data.restart?.id);
    await host.supervisor.handlers.stop({ id: first.name });
    assert.equal(await supervisor.deserted, 107);
  });

  it('is told as an exit code, too, when a stop takes the restart back that was still to come', async () => {
    await host.restart({ restartPauseMs: 3_600_000, restartPauseMaxMs: 3_600_000 });
    const { id, name } = await host.runTo('ready', { restart: { policy: 'on-failure' } });
    host.machine.say({ status: 'exited', code: 4 });
    await host.gone(id);
    await host.supervisor.handlers.stop({ id: name });
    assert.equal(await host.supervisor.deserted, 4);
  });
});
