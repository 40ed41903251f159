import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Bus } from '@enclaver/bus';
import { NatsProcess } from '../../libs/bus/test/nats-process.ts';
import { HookServer } from '../../services/webhooks/test/hook-server.ts';
import { fencedBlocks } from './commands/markdown.ts';

const root = resolve(import.meta.dirname, '../..');
const id = 'e-0123456789ab';

describe('docs/webhooks.md', function () {
  this.timeout(30_000);

  it('its commands and its file make the service post what the file asks for', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'docs-webhooks-'));
    await using nats = await NatsProcess.start();
    const supervisor = await Bus.connect({ source: 'supervisor', credentials: nats.as('supervisor') });
    const cli = await Bus.connect({ source: 'enclaver/cli', credentials: nats.as('cli') });
    await writeFile(join(folder, 'bus.json'), JSON.stringify(nats.as('webhooks')));
    const here = (text = ''): string =>
      text.replaceAll('/run/enclaver/bus/webhooks.json', join(folder, 'bus.json')).replaceAll('/etc/enclaver', folder);
    const blocks = fencedBlocks(await readFile(join(root, 'docs/webhooks.md'), 'utf8'));
    const script = here(blocks.find(({ language }) => language === 'sh')?.text);
    const config = JSON.parse(here(blocks.find(({ language }) => language === 'json')?.text));
    const [makeSecret = '', ...startService] = script.split('\n');

    await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', makeSecret]);
    await using server = await HookServer.start((await readFile(join(folder, 'ops.secret'), 'utf8')).trim());
    Object.assign(config.targets[0], { url: server.url, allowPrivate: true });
    await writeFile(join(folder, 'webhooks.json'), JSON.stringify(config));
    const service = spawn('bash', ['-c', `exec env ${startService.join('\n')}`], { cwd: root, stdio: 'ignore' });
    try {
      while (!(await cli.services()).includes('webhooks')) {
        assert.equal(service.exitCode, null);
        await sleep(50);
      }
      for (const graceMs of [1, 2]) await supervisor.publishEvent(id, 'stopping', { graceMs });
      await supervisor.publishEvent(id, 'ready', { ingress: [] });
      await server.count(1);
      assert.deepEqual(
        server.received.map(({ name, enclave, isSigned }) => [name, enclave, isSigned]),
        [['ready', id, true]],
      );
    } finally {
      service.kill('SIGTERM');
      if (service.exitCode === null) await once(service, 'exit');
      await cli.close();
      await supervisor.close();
      await rm(folder, { recursive: true });
    }
  });
});
