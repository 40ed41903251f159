import assert from 'node:assert/strict';
import { TestHost } from './test-host.ts';

describe('boot of an enclave', () => {
  const host = TestHost.use();

  it('boots again once when the kernel hangs', async () => {
    await host.restart({ heartbeatMs: 150 });
    host.backend.onLaunch = (launched, boot) => {
      if (boot === 2) launched.boots();
    };
    await host.run();
    await host.until('booting');
    assert.equal(host.backend.machines[0]?.killed, true);
    assert.deepEqual(host.names(), ['requested', 'egress-ready', 'launching', 'booting']);
  });

  it('fails when it hangs again, and when odyn does not come up', async () => {
    await host.restart({ heartbeatMs: 100, statusMs: 100 });
    await host.run();
    const first = (await host.until('failed')).data.result;
    assert.equal(first.kind === 'failed' && first.error.code, 'BOOT_TIMEOUT');
    assert.equal(host.backend.machines.length, 2);
    await host.gone(host.seen[0]?.id ?? '');
    host.seen = [];
    host.backend.onLaunch = (launched) => launched.boots();
    await host.run();
    const second = (await host.until('failed')).data.result;
    assert.equal(second.kind === 'failed' && second.error.code, 'BOOT_TIMEOUT');
  });

  it('fails when the machine ends in its boot', async () => {
    host.backend.onLaunch = (launched) => void launched.die('reset');
    await host.run();
    const { result } = (await host.until('failed')).data;
    assert.deepEqual(result, { kind: 'failed', error: { code: 'MACHINE_ENDED', message: 'the machine ended: reset' } });
  });

  it('starts nothing when the outer-proxy cannot listen or does not answer', async () => {
    host.proxy.open = 'failed';
    const { id } = await host.run();
    const failed = (await host.until('failed')).data.result;
    assert.equal(failed.kind === 'failed' && failed.error.code, 'PORT_IN_USE');
    await host.gone(id);
    await host.restart({ proxyMs: 50 });
    host.proxy.open = 'silent';
    host.seen = [];
    await host.run();
    const silent = (await host.until('failed')).data.result;
    assert.equal(silent.kind === 'failed' && silent.error.code, 'PROXY_SILENT');
    assert.equal(host.backend.machines.length, 0);
  });
});
