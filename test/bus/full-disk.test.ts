import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus } from '@enclaver/bus';
import { record } from '../../libs/bus/test/record.ts';
import { writeSmallImage } from '../../services/supervisor/test/small-image.ts';
import { enclaver } from '../stack/enclaver.ts';
import { SmallDisk } from '../stack/small-disk.ts';

const command = join(import.meta.dirname, '../../cli/bin/enclaver');

describe('`enclaver up` on a disk that is full', function () {
  this.timeout(90_000);

  it('says that nothing is stored, and stores again by itself when there is room, with nothing lost', async () => {
    await using disk = await SmallDisk.make('96m');
    const dir = join(disk.path, 'stack');
    const stack = spawn(command, ['up', '--private', dir], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      await once(stack.stdout, 'data');
      await using bus = await Bus.connect({
        source: 'supervisor',
        credentials: join(dir, 'bus/supervisor.json'),
      });
      await bus.enclaves.put({ ...record, name: 'before' });
      await writeSmallImage(join(dir, 'hello.eif'));
      await disk.fill();
      const stored: string[] = ['before'];
      const writing = new AbortController();
      // What the server has at hand it may still store; then it stores nothing
      const written = (async () => {
        for (let turn = 0; !writing.signal.aborted; turn += 1) {
          await bus.enclaves.put({ ...record, name: `turn-${turn}` });
          stored.push(`turn-${turn}`);
        }
      })();
      while (!(await readiness(dir, 'supervisor')).includes('stores nothing')) await sleep(100);
      const eif = join(dir, 'hello.eif');
      const refused = await enclaver(['run', eif], { ENCLAVER_BUS: join(dir, 'bus/cli.json') });
      assert.match(refused.stderr, /BUS_NOT_STORING/);
      assert.equal(bus.isStoring, false);
      await disk.free();
      writing.abort();
      await written;
      assert.equal((await bus.enclaves.get(record.id))?.name, stored.at(-1));
      assert.equal(bus.isStoring, true);
      for (const service of ['supervisor', 'outer-proxy', 'log-relay', 'builder'])
        while ((await readiness(dir, service)) !== 'ready\n') await sleep(100);
    } finally {
      const ended = once(stack, 'exit');
      stack.stdin.end();
      await ended;
    }
  });
});

async function readiness(dir: string, service: string): Promise<string> {
  const socketPath = join(dir, `http/${service}.sock`);
  const [response] = await once(request({ socketPath, path: '/readyz' }).end(), 'response');
  return await text(response);
}
