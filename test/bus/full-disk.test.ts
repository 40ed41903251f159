import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus } from '@enclaver/bus';
import { record } from '../../libs/bus/test/record.ts';
import { writeSmallImage } from '../../services/supervisor/test/small-image.ts';
import { enclaver } from '../stack/enclaver.ts';

const command = join(import.meta.dirname, '../../cli/bin/enclaver');

describe('`enclaver up` on a disk that is full', function () {
  this.timeout(90_000);

  it('says that nothing is stored, and stores again by itself when there is room, with nothing lost', async () => {
    const disk = await mkdtemp(join(tmpdir(), 'enclaver-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=96m', 'tmpfs', disk]);
    const stack = spawn(command, ['up', '--private', join(disk, 'stack')], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      await once(stack.stdout, 'data');
      await using bus = await Bus.connect({
        source: 'supervisor',
        credentials: join(disk, 'stack/bus/supervisor.json'),
      });
      await bus.enclaves.put({ ...record, name: 'before' });
      await writeSmallImage(join(disk, 'stack/hello.eif'));
      await fill(join(disk, 'filler'));
      const stored: string[] = ['before'];
      const writing = new AbortController();
      // What the server has at hand it may still store; then it stores nothing
      const written = (async () => {
        for (let turn = 0; !writing.signal.aborted; turn += 1) {
          await bus.enclaves.put({ ...record, name: `turn-${turn}` });
          stored.push(`turn-${turn}`);
        }
      })();
      while (!(await readiness(disk, 'supervisor')).includes('stores nothing')) await sleep(100);
      const eif = join(disk, 'stack/hello.eif');
      const refused = await enclaver(['run', eif], { ENCLAVER_BUS: join(disk, 'stack/bus/cli.json') });
      assert.match(refused.stderr, /BUS_NOT_STORING/);
      assert.equal(bus.isStoring, false);
      await rm(join(disk, 'filler'));
      writing.abort();
      await written;
      assert.equal((await bus.enclaves.get(record.id))?.name, stored.at(-1));
      assert.equal(bus.isStoring, true);
      for (const service of ['supervisor', 'outer-proxy', 'log-relay', 'builder'])
        while ((await readiness(disk, service)) !== 'ready\n') await sleep(100);
    } finally {
      const ended = once(stack, 'exit');
      stack.stdin.end();
      await ended;
      execFileSync('umount', ['--lazy', disk]);
      await rm(disk, { recursive: true });
    }
  });
});

async function fill(path: string): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (;;) await file.write(Buffer.alloc(4096));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  } finally {
    await file.close();
  }
}

async function readiness(disk: string, service: string): Promise<string> {
  const socketPath = join(disk, `stack/http/${service}.sock`);
  const [response] = await once(request({ socketPath, path: '/readyz' }).end(), 'response');
  return await text(response);
}
