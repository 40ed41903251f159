import assert from 'node:assert/strict';
import { readdir, symlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { serviceLimits } from '../src/limits.ts';
import { removeStaleWork, WorkDir } from '../src/work-dir.ts';
import { Bench } from './support.ts';

describe('builder: work folders', () => {
  it('of a builder that was killed go at the next start, also when another one takes them away meanwhile', async () => {
    await using bench = await Bench.create();
    await using work = await WorkDir.create(bench.dataDir);
    const names = (): Promise<string[]> => readdir(bench.file('data/work'));
    // As a folder that is listed, and no longer there when it is looked at
    await symlink('none', bench.file('data/work/vanished'));
    await removeStaleWork(bench.dataDir);
    assert.deepEqual((await names()).sort(), [basename(work.path), 'vanished'].sort());
    await removeStaleWork(bench.dataDir, Date.now() + serviceLimits.staleWorkMs + 1000);
    assert.deepEqual(await names(), ['vanished']);
  });

  it('are never taken from a request that may still run', () => {
    assert.ok(serviceLimits.staleWorkMs > serviceLimits.requestMs);
  });
});
