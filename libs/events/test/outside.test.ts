import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Bus } from '../../bus/src/index.ts';
import { NatsProcess } from '../../bus/test/nats-process.ts';
import { record } from '../../bus/test/record.ts';

const run = promisify(execFile);
const top = join(import.meta.dirname, '../../..');
const tool = (name: string): string => join(top, 'node_modules/.bin', name);

const plain = `
import { events } from '@enclaver/events';
for await (const event of events({ credentials: process.argv[2], from: 'oldest' }))
  console.log(event.id, event.name, event.data.reason);
`;

const typed = `
import { events, type EnclaveRecord } from '@enclaver/events';
for await (const event of events({ credentials: 'reader.json', names: ['requested', 'failed'] })) {
  if (event.name === 'requested') { const record: EnclaveRecord = event.data.enclave; console.log(record.state === 'ready'); }
  // @ts-expect-error not among the names that were asked for
  if (event.name === 'ready') break;
}
`;

describe('@enclaver/events as others have it', function () {
  this.timeout(60_000);

  let nats: NatsProcess;
  let bus: Bus;
  let project: string;

  before(async () => {
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'supervisor', credentials: nats.credentials });
    project = await mkdtemp(join(tmpdir(), 'enclaver-events-user-'));
    await run(tool('tsc'), ['-p', join(top, 'libs/events')]);
    await run('npm', ['pack', '--workspace', '@enclaver/events', '--pack-destination', project], { cwd: top });
    const [tarball = ''] = await readdir(project);
    const modules = join(project, 'node_modules');
    await mkdir(join(modules, '@enclaver/events'), { recursive: true });
    await run('tar', ['xf', join(project, tarball), '--strip-components=1', '-C', join(modules, '@enclaver/events')]);
    for (const name of ['nats', '@types']) await symlink(join(top, 'node_modules', name), join(modules, name));
    await writeFile(join(project, 'package.json'), '{ "type": "module" }');
    await writeFile(join(project, 'plain.js'), plain);
    await writeFile(join(project, 'typed.ts'), typed);
    await writeFile(join(project, 'reader.json'), JSON.stringify(nats.as('reader')));
  });

  after(async () => {
    await bus.close();
    await nats[Symbol.asyncDispose]();
    await rm(project, { recursive: true });
  });

  it('prints events from a plain JavaScript file of three lines, and ends when told to', async () => {
    await bus.publishEvent(record.id, 'unhealthy', { reason: 'no answer' });
    const child = spawn(process.execPath, ['plain.js', 'reader.json'], {
      cwd: project,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for await (const line of createInterface(child.stdout)) {
      assert.equal(line, `${record.id} unhealthy no answer`);
      break;
    }
    child.kill();
    await once(child, 'exit');
  });

  it('has types that narrow on the name', async () => {
    const options = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--types',
      'node',
      '--skipLibCheck',
    ];
    await run(tool('tsc'), [...options, 'typed.ts'], { cwd: project });
  });
});
