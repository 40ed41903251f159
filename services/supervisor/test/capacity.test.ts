import assert from 'node:assert/strict';
import type { EnclaveRecord } from '@enclaver/bus';
import { hostMemory } from '../src/backends/qemu/host-memory.ts';
import { TestHost } from './test-host.ts';

describe('capacity of a host', () => {
  const host = TestHost.use();
  const run = (name: string, cpuCount: number, memoryMb: number) => host.run({ name, cpuCount, memoryMb });

  it('is shared by enclaves until one asks for more than is left, who is told what holds it', async () => {
    host.backend.host = { cpus: { total: 6, remedy: 'give the allocator more' } };
    await run('a', 2, 300);
    const { id } = await run('b', 2, 300);
    await assert.rejects(run('c', 4, 300), (error: Error & { code: string; remedy: string }) => {
      assert.equal(error.code, 'HOST_FULL');
      assert.match(error.message, /^4 CPUs asked for, 2 of 6 free: a \(e-\w+\) holds 2, b \(e-\w+\) holds 2$/);
      assert.equal(error.remedy, 'give the allocator more');
      return true;
    });
    await run('d', 2, 300);
    await host.supervisor.handlers.stop({ id, graceMs: 0 });
    await host.gone(id);
    await run('e', 2, 300);
  });

  it('counts memory and enclaves, and what others than enclaves take', async () => {
    host.backend.host = { memoryMb: { total: 1000, remedy: 'more hugepages' } };
    await run('a', 1, 600);
    await assert.rejects(run('b', 1, 500), {
      code: 'HOST_FULL',
      message: /^500 MiB of memory asked for, 400 of 1000 free/,
    });
    host.backend.host = { memoryMb: { total: 1000, free: 100, remedy: 'more hugepages' } };
    await assert.rejects(run('b', 1, 200), {
      code: 'HOST_FULL',
      message: /^200 MiB of memory asked for, 100 of 1000 free/,
    });
    host.backend.host = { enclaves: { total: 1, remedy: 'AWS allows no more' } };
    await assert.rejects(run('b', 1, 200), { code: 'HOST_FULL', message: /^1 enclaves asked for, 0 of 1 free/ });
  });

  it('is bounded in enclaves by the supervisor, too, whatever the host has', async () => {
    await host.restart({ enclaves: 1 });
    const { id } = await run('a', 1, 300);
    await assert.rejects(run('b', 1, 300), {
      code: 'TOO_MANY_ENCLAVES',
      message: '1 enclaves run already; no more are allowed',
    });
    await host.supervisor.handlers.stop({ id, graceMs: 0 });
    await host.gone(id);
    await run('b', 1, 300);
  });

  it('is not given twice to two that ask at the same time', async () => {
    host.backend.host = { cpus: { total: 2, remedy: '' } };
    const asked = await Promise.allSettled(['a', 'b', 'c'].map((name) => run(name, 2, 300)));
    assert.deepEqual(asked.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected']);
  });

  it('of memory is what the host has free, less what running machines have not touched yet', async () => {
    const alone = await hostMemory([]);
    assert.ok(alone.free !== undefined && alone.free > 0 && alone.free < alone.total);
    const held = [{ memoryMb: 100_000, pid: process.pid }, { memoryMb: 1 }] as EnclaveRecord[];
    assert.equal((await hostMemory(held)).free, 0);
  });
});
