import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus } from '@enclaver/bus';
import { NatsProcess } from '../../libs/bus/test/nats-process.ts';
import { record } from '../../libs/bus/test/record.ts';

const command = new URL('../bin/enclaver', import.meta.url).pathname;

describe('enclaver status', () => {
  let nats: NatsProcess;
  let folder: string;
  let bus: Bus;

  before(async () => {
    nats = await NatsProcess.start();
    folder = await mkdtemp(join(tmpdir(), 'enclaver-status-'));
    await writeFile(join(folder, 'bus.json'), JSON.stringify(nats.credentials));
    bus = await Bus.connect({ source: 'supervisor', credentials: nats.credentials });
    for (const service of ['supervisor', 'outer-proxy']) await bus.announce(service, '1.2.3');
  });

  after(async () => {
    await bus.close();
    await nats[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  async function status(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const env = { ...process.env, ENCLAVER_BUS: join(folder, 'bus.json') };
    return await new Promise((resolve) => {
      execFile(command, ['status', ...args], { env }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
      );
    });
  }

  it('says which service is missing, and ends with 1', async () => {
    const { code, stdout } = await status();
    assert.equal(code, 1);
    assert.match(stdout, /^log-relay +- +not on the bus$/m);
    assert.match(stdout, /^supervisor +1\.2\.3 +up for \d+ s$/m);
    assert.match(stdout, /^enclaves: none runs$/m);
    assert.match(stdout, /^no warnings$/m);
  });

  it('shows warnings with what to do; those that are no errors leave the exit code 0', async () => {
    await bus.announce('log-relay', '1.2.3');
    await bus.enclaves.put({ ...record, state: 'ready' });
    const warning = { code: 'STORE_NEARLY_FULL', message: 'full to 90 %', remedy: 'remove something' } as const;
    bus.warnings.raise({ ...warning, severity: 'warning' });
    await bus.warnings.written();
    const { code, stdout, stderr } = await status();
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      /^warning\[STORE_NEARLY_FULL\]: full to 90 %\n {2}help: remove something\n {2}said by supervisor since 20/m,
    );
    assert.match(stdout, /^enclaves: 1 ready$/m);
    bus.warnings.raise({ ...warning, severity: 'error' });
    await bus.warnings.written();
    const json = await status('-o', 'json');
    const found = JSON.parse(json.stdout);
    assert.equal(json.code, 1);
    assert.equal(found.ok, false);
    assert.deepEqual(found.missing, []);
    assert.deepEqual(found.enclaves, [{ id: record.id, name: record.name, state: 'ready' }]);
    assert.equal(found.warnings[0].severity, 'error');
    assert.deepEqual(
      found.services.map(({ service }: { service: string }) => service),
      ['log-relay', 'outer-proxy', 'supervisor'],
    );
  });
});
