import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const ROOT = join(import.meta.dirname, '../..');
/** Without an environment they end with 2, all being loaded. */
const SERVICES = ['builder', 'supervisor', 'outer-proxy', 'log-relay', 'webhooks'];

describe('scripts/compile-cache.ts', function () {
  this.timeout(120_000);
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'compile-cache-test-'));
  });

  afterEach(() => rm(folder, { recursive: true }));

  /** Node adds what it had to compile, when a process ends. */
  async function addedBy(words: readonly string[]): Promise<number> {
    const before = (await readdir(folder, { recursive: true })).length;
    const env = { PATH: process.env.PATH, NODE_COMPILE_CACHE: folder, NODE_OPTIONS: '--max-semi-space-size=1' };
    const { status, stderr } = spawnSync(process.execPath, words, { env, encoding: 'utf8' });
    assert.equal(status, 2, stderr);
    return (await readdir(folder, { recursive: true })).length - before;
  }

  it('leaves nothing to compile to a service that starts', async () => {
    const [first = '', ...others] = SERVICES.map((name) => join(ROOT, `services/${name}/src/main.ts`));
    assert.ok((await addedBy([first])) > 0);
    await promisify(execFile)(process.execPath, [join(ROOT, 'scripts/compile-cache.ts')], {
      env: { ...process.env, NODE_COMPILE_CACHE: folder },
    });
    for (const main of [first, ...others]) assert.equal(await addedBy([main]), 0, main);
    assert.equal(await addedBy([join(ROOT, 'cli/src/main.ts'), 'no-such-command']), 0);
  });
});
