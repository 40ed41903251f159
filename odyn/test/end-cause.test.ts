import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppCgroup } from '../src/launcher/app-cgroup.ts';
import { outOfMemory } from '../src/launcher/end-cause.ts';

/** Records as Linux 6.12 writes them, with the fields of the second one. The kill itself is in test/e2e/inside.test.ts. */
const LOG = String.raw`6,1020,4000000,-;nsm virtio0: ready
3,1021,5000000,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,task=worker,pid=71,uid=1000
 SUBSYSTEM=memory
3,1022,5000100,-;Memory cgroup out of memory: Killed process 71 (wor) ker\x0a) total-vm:312kB, anon-rss:64kB, file-rss:4kB
3,1023,5000200,c;Out of memory: Killed process 72 (app) total-vm:1024kB, anon-rss:512kB, file-rss:0kB, UID:0 pgtables:48kB
12,1024,5000300,-;Out of memory: Killed process 73 (liar) total-vm:1024kB, anon-rss:512kB
`;

describe('an end for want of memory', () => {
  let folder: string;
  let kmsg: string;
  let cgroup: AppCgroup;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'end-cause-'));
    kmsg = join(folder, 'kmsg');
    await writeFile(kmsg, LOG);
    await writeFile(join(folder, 'cgroup.controllers'), 'memory pids\n');
    cgroup = AppCgroup.make(folder, { memoryBytes: 1, pids: 1 }) as AppCgroup;
    await kills(0);
  });

  afterEach(() => rm(folder, { recursive: true }));

  const kills = (count: number) =>
    writeFile(join(cgroup.path, 'memory.events'), `low 0\nhigh 0\nmax 9\noom 4\noom_kill ${count}\noom_group_kill 0\n`);

  it('is told by the log of the kernel, with who it was', () => {
    assert.deepEqual(outOfMemory(72, undefined, kmsg), {
      cause: 'out-of-memory',
      detail: 'the kernel ended process 72 (app) of the app for want of memory',
    });
    assert.match(outOfMemory(71, cgroup, kmsg)?.detail ?? '', /process 71 \(wor\) ker\\x0a\) of the app/);
  });

  it('is not believed of a log that others have written', () => {
    assert.equal(outOfMemory(73, cgroup, kmsg), undefined);
  });

  it('of a process that the app had started is told by the count of its cgroup', async () => {
    assert.equal(outOfMemory(99, cgroup, kmsg), undefined);
    await kills(2);
    assert.match(outOfMemory(99, cgroup, kmsg)?.detail ?? '', /process 72 \(app\) of the app/);
    await writeFile(kmsg, '');
    assert.deepEqual(outOfMemory(99, cgroup, kmsg), {
      cause: 'out-of-memory',
      detail: 'the kernel ended a process of the app for want of memory',
    });
  });

  it('is no word of a kernel that has killed nobody', async () => {
    await mkdir(join(folder, 'empty'));
    assert.equal(outOfMemory(2 ** 22 + 1, undefined), undefined, "this machine's own log");
  });
});
