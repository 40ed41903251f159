import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Bench, manifest } from './support.ts';

const run = promisify(execFile);

/** Builds in a process of its own: umask, time zone, locale and clock belong to a process. */
const PROGRAM = `
import { buildEnclave } from ${JSON.stringify(join(import.meta.dirname, '../src/build.ts'))};
const { options, umask, now } = JSON.parse(process.argv[1]);
process.umask(umask);
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...given) { given.length === 0 ? super(now) : super(...given); }
  static now() { return now; }
};
await buildEnclave(options);
`;

describe('build: same input, same bytes', () => {
  it('in another folder, under another umask, time zone, locale and clock (D17)', async () => {
    const hashes = new Set<string>();
    const surroundings = [
      { umask: 0o022, now: 0, env: { TZ: 'UTC', LANG: 'C', LC_ALL: 'C' } },
      {
        umask: 0o077,
        now: 4_000_000_000_000,
        env: { TZ: 'Asia/Kathmandu', LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8' },
      },
    ];
    for (const { umask, now, env } of surroundings) {
      await using bench = await Bench.create();
      await bench.writeImage(
        [{ name: 'ä' }, { name: 'z', content: 'z' }, { name: 'I/i', mode: 0o666 }, { name: 'ı' }],
        [{ name: 'a', type: 'hard-link', link: 'z' }, { name: '.wh.ä' }],
      );
      const options = {
        manifest: manifest(),
        manifestFile: 'enclaver.yaml',
        contextDir: bench.path,
        eifOnly: bench.file('app.eif'),
        dataDir: bench.dataDir,
        runtime: bench.file('runtime'),
      };
      const args = ['--input-type=module', '-e', PROGRAM, JSON.stringify({ options, umask, now })];
      await run(process.execPath, args, { env: { ...process.env, ...env }, cwd: bench.path });
      hashes.add(
        createHash('sha256')
          .update(await readFile(bench.file('app.eif')))
          .digest('hex'),
      );
    }
    assert.equal(hashes.size, 1);
  });

  it('while a byte more in a file of the image, or in the manifest, changes PCR2 and leaves PCR1', async () => {
    await using bench = await Bench.create();
    await bench.writeImage([{ name: 'app', content: '1' }]);
    const first = await bench.build();
    await bench.writeImage([{ name: 'app', content: '2' }]);
    const second = await bench.build();
    const third = await bench.build({ manifest: `${manifest()}#` });
    const all = [first, second, third].map(({ measurements }) => measurements);
    assert.equal(new Set(all.map(({ PCR2 }) => PCR2)).size, 3);
    assert.equal(new Set(all.map(({ PCR0 }) => PCR0)).size, 3);
    assert.equal(new Set(all.map(({ PCR1 }) => PCR1)).size, 1);
    await writeFile(bench.file('runtime/x86_64/cmdline'), 'console=ttyS1');
    assert.notEqual((await bench.build()).measurements.PCR1, first.measurements.PCR1);
  });

  it('and two builds at once do not touch each other', async () => {
    await using bench = await Bench.create();
    await bench.writeImage([{ name: 'app' }]);
    const [a, b] = await Promise.all([
      bench.build({ eifOnly: bench.file('a.eif') }),
      bench.build({ eifOnly: bench.file('b.eif') }),
    ]);
    assert.equal(a.eif.sha256, b.eif.sha256);
    assert.deepEqual(await bench.leavings(), ['a.eif', 'b.eif']);
  });
});
