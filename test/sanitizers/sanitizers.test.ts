import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildAddon } from '../../scripts/native-addon.ts';
import { runSanitized } from './sanitized-run.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const mocha = 'node_modules/mocha/bin/mocha.js';

const planted = {
  name: 'planted',
  sources: 'test/sanitizers/planted',
  shared: ['libs/vsock/native/values.c'],
  output: 'dist/planted',
};
const loadPlanted = `const m = { exports: {} }; process.dlopen(m, '${planted.output}/planted-' + process.arch + '.node');`;

/** The tests of what is compiled have run once already, as it is shipped; here they are run on another build of it. */
describe('under AddressSanitizer and UBSan', function () {
  this.timeout(180_000);

  before(async () => {
    const scripts = [
      'libs/vsock/scripts/build.ts',
      'services/log-relay/scripts/build.ts',
      'odyn/scripts/build-addon.ts',
    ];
    await Promise.all(scripts.map((script) => run(process.execPath, [join(root, script), '--sanitize=address'])));
  });

  describe('faults that are planted', () => {
    const call = (expression: string) => runSanitized(['-e', `${loadPlanted} m.exports.${expression}`]);

    before(() => buildAddon(planted, 'address'));

    after(() => rm(join(root, planted.output), { recursive: true }));

    it('are found: a byte past the end, an overflow, a leak', async () => {
      const [overread, twice, leak] = await Promise.all([
        call('overread(7)'),
        call('twice(2 ** 31 - 1)'),
        call('leak(9)'),
      ]);
      assert.match(overread.faults.join(), /heap-buffer-overflow/);
      assert.notEqual(overread.code, 0);
      assert.match(twice.faults.join(), /signed integer overflow/);
      assert.notEqual(twice.code, 0);
      assert.match(leak.leaks.join(), /leak of 9 byte/);
      assert.deepEqual([leak.code, leak.faults], [0, []]);
    });
  });

  it('the addons do what their tests ask', async () => {
    // Not under test here: that compilers give the same bytes, and a thousand forks of a process with a shadow memory
    const left =
      'same addons from the same source|starts children|^sinks .*(files|OpenTelemetry|holds no other|bus was away)';
    const { code, output, faults, leaks } = await runSanitized([
      mocha,
      ...['--exit', '--timeout', '120000', '--invert', '--grep', left],
      ...globSync(['libs/vsock/test/*.test.ts', 'odyn/test/native/*.test.ts'], { cwd: root }),
      'services/log-relay/test/sinks.test.ts',
    ]);
    assert.deepEqual({ faults, leaks }, { faults: [], leaks: [] });
    assert.equal(code, 0, output);
  });

  it('launch, redirect and the random numbers of init do what their tests ask', async () => {
    const env = { ...process.env, ENCLAVER_SANITIZE: '1' };
    const files = globSync(['odyn/test/init/*.test.ts', 'odyn/test/transparent/transparent.test.ts'], { cwd: root });
    // What follows from musl: that it runs nothing as a script of the shell, and its words for errors
    const args = [
      '--exit',
      '--timeout',
      '120000',
      '--invert',
      '--grep',
      'missing, not executable, or no program|when the NSM does not answer',
    ];
    // Fails with the report in what a test says
    await run(process.execPath, [mocha, ...args, ...files], { cwd: root, env });
  });
});

/** The relay alone has threads of its own; the other addons run on Node's. */
describe('under ThreadSanitizer', function () {
  this.timeout(180_000);

  before(async () => {
    await run(process.execPath, [join(root, 'libs/vsock/scripts/build.ts'), '--sanitize=thread']);
    await buildAddon(planted, 'thread');
  });

  after(() => rm(join(root, planted.output), { recursive: true }));

  it('a race that is planted is found', async () => {
    const { faults } = await runSanitized(['-e', `${loadPlanted} m.exports.race()`], 'thread');
    assert.match(faults.join(), /data race/);
  });

  it('the relay does what its tests ask', async () => {
    // Not under test here: a thousand forks of a process with a shadow memory, and what the kernel holds before a slow relay
    const left = 'starts children|holds the buffers';
    const args = [mocha, '--exit', '--timeout', '120000', '--invert', '--grep', left];
    const files = globSync('libs/vsock/test/{relay,relay-bounds,relay-group,join,screen}.test.ts', { cwd: root });
    const { code, output, faults } = await runSanitized([...args, ...files], 'thread');
    assert.deepEqual(faults, []);
    assert.equal(code, 0, output);
  });
});
