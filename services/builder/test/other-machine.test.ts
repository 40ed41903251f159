import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Bench, manifest } from './support.ts';

const root = new URL('../../../', import.meta.url).pathname;

/**
 * The builder on a machine of the other architecture. There is none here: the arm64 Node that the lock file pins runs it, on an
 * emulated processor (qemu-user). What is built is for x86_64, with the runtime that `npm run build` made.
 */
describe('builder on another architecture', function () {
  this.timeout(240_000);

  it('gives the bytes that it gives here', async () => {
    await using bench = await Bench.create();
    await bench.writeImage([{ name: 'app', mode: 0o755, content: 'an app' }, { name: 'd/' }, { name: 'd/é' }]);
    const paths = execFileSync(join(root, 'scripts/paths'), ['aarch64'], { encoding: 'utf8' });
    const pinned = new Map(
      paths.split('\n').map((line): [string, string] => [line.replace(/=.*/, ''), line.replace(/^.*?=/, '')]),
    );
    const libraries = bench.file('sysroot/lib');
    await mkdir(libraries, { recursive: true });
    for (const folder of (pinned.get('ENCLAVER_LIBS') ?? '').split(':')) {
      for (const name of await readdir(folder)) await copyFile(join(folder, name), join(libraries, name));
    }
    const options = {
      manifest: manifest(),
      manifestFile: 'enclaver.yaml',
      contextDir: bench.path,
      dataDir: bench.dataDir,
      runtime: join(root, 'dist/runtime'),
      platform: 'linux/amd64' as const,
    };
    await writeFile(bench.file('options.json'), JSON.stringify({ ...options, eifOnly: bench.file('there.eif') }));
    const program = `
      import { readFileSync } from 'node:fs';
      import { buildEnclave } from ${JSON.stringify(join(root, 'services/builder/src/build.ts'))};
      const { eif } = await buildEnclave(JSON.parse(readFileSync(${JSON.stringify(bench.file('options.json'))}, 'utf8')));
      console.log(process.arch, eif.sha256);`;
    await writeFile(bench.file('build.mjs'), program);
    const node = join(pinned.get('ENCLAVER_NODE') ?? '', 'bin/node');
    const child = spawn('qemu-aarch64-static', ['-L', bench.file('sysroot'), node, bench.file('build.mjs')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [there, here] = await Promise.all([text(child.stdout), bench.build(options), once(child, 'close')]);
    assert.equal(there, `arm64 ${here.eif.sha256}\n`);
  });
});
