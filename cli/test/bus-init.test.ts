import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { busUsers } from '@enclaver/bus';

const command = new URL('../bin/enclaver', import.meta.url).pathname;

describe('enclaver bus init', function () {
  this.timeout(30_000);

  let folder: string;

  const init = (...more: string[]): Promise<{ code: number; stderr: string }> =>
    new Promise((resolve) => {
      const args = ['bus', 'init', '--stack-dir', join(folder, 'stack'), '--data-dir', join(folder, 'data'), ...more];
      const child = execFile(command, args, (_, __, stderr) => resolve({ code: child.exitCode ?? -1, stderr }));
    });
  const credentials = async (user: string): Promise<Record<string, string>> =>
    JSON.parse(await readFile(join(folder, 'stack/bus', `${user}.json`), 'utf8'));

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'enclaver-bus-init-'));
  });

  after(() => rm(folder, { recursive: true }));

  it('writes credentials for every user, and keeps passwords when it changes the rest', async () => {
    assert.equal((await init()).code, 0);
    const before = await credentials('reader');
    for (const user of busUsers) assert.equal((await credentials(user)).url, 'nats://127.0.0.1:4222');
    const tls = ['--tls-cert', 'server.pem', '--tls-key', 'server.key', '--tls-ca', '/ca.pem'];
    assert.equal((await init('--host', '0.0.0.0', '--name', 'bus.internal', ...tls)).code, 0);
    assert.deepEqual(await credentials('reader'), { ...before, url: 'tls://bus.internal:4222', ca: '/ca.pem' });
    const config = await readFile(join(folder, 'stack/bus/nats.conf'), 'utf8');
    assert.match(config, /^tls \{ cert_file: ".*\/server\.pem", key_file: ".*\/server\.key" \}$/m);
  });

  it('makes its folders for their owner alone, and those above them as usual', async () => {
    assert.equal((await init('--stack-dir', join(folder, 'above/stack'))).code, 0);
    const modeOf = async (name: string) => ((await stat(join(folder, name))).mode & 0o777).toString(8);
    assert.deepEqual(await Promise.all(['above', 'above/stack', 'above/stack/bus', 'data'].map(modeOf)), [
      (0o777 & ~process.umask()).toString(8),
      '700',
      '700',
      '700',
    ]);
  });

  it('refuses an open address without TLS, and half a certificate', async () => {
    assert.match((await init('--host', '0.0.0.0')).stderr, /BUS_TLS_REQUIRED/);
    assert.match((await init('--tls-cert', 'server.pem')).stderr, /USAGE/);
  });
});
