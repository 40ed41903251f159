import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { imagePcr } from '@enclaver/eif';
import { writeSmallImage } from '../../../services/supervisor/test/small-image.ts';
import vectors from '../../../services/supervisor/test/vectors/nitro-cli-outputs.json' with { type: 'json' };
import { makeParent } from '../src/index.ts';

const program = new URL('../bin/nitro-cli', import.meta.url).pathname;

describe('the emulator of nitro-cli', function () {
  this.timeout(60_000);

  let root: string;
  let eif: string;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'enclaver-parent-'));
    await makeParent(root, { cpus: [2, 3, 4, 5], memoryMb: 512 });
    eif = join(root, 'hello.eif');
    await writeSmallImage(eif);
  });

  after(() => rm(root, { recursive: true }));

  async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const env = { ...process.env, ENCLAVER_NITRO_EMULATED: root, BACKTRACE: '1' };
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { code, stdout, stderr };
  }

  /** Of run-enclave with these values in place of good ones; undefined leaves one out. */
  function start(change: Record<string, string | undefined>, ...more: string[]): ReturnType<typeof run> {
    const values = { 'eif-path': eif, memory: '256', 'cpu-count': '2', ...change };
    const args = Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]));
    return run('run-enclave', ...args, ...more);
  }

  /** Keys in their order, and those of what is inside. */
  function shape(value: unknown): unknown {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return typeof value;
    return Object.entries(value).map(([key, inner]) => [key, shape(inner)]);
  }

  it('prints what is on record: keys, their order, and the way it is laid out', async () => {
    assert.equal((await run('describe-enclaves')).stdout, `${vectors.stdout['describe-enclaves-none']}\n`);
    const described = await run('describe-eif', '--eif-path', eif);
    const sample = JSON.parse(vectors.stdout['describe-eif-unsigned']);
    const printed = JSON.parse(described.stdout);
    assert.deepEqual(shape(printed), shape(sample));
    assert.equal(described.stdout, `${JSON.stringify(printed, undefined, 2)}\n`);
    const pcr = JSON.parse((await run('pcr', '--input', eif)).stdout);
    assert.deepEqual(pcr, { PCR: imagePcr(await readFile(eif)).toString('hex') });
  });

  for (const [what, change, more, code, words] of [
    ['no image', { 'eif-path': undefined }, [], 1, /eif-path/],
    ['count and ids of CPUs', {}, ['--cpu-ids', '2', '3'], 2, /cpu-ids/],
    ['a count that is none', { 'cpu-count': '2x' }, [], 3, /2x/],
    ['an option that is not known', {}, ['--gpu-count'], 3, /gpu-count/],
    ['a CPU twice', { 'cpu-count': undefined }, ['--cpu-ids', '2', '2'], 20, /CPU 2 twice/],
    ['a CPU outside the pool', { 'cpu-count': undefined }, ['--cpu-ids', '0', '1'], 21, /CPU 0/],
    ['more CPUs than the pool has', { 'cpu-count': '6' }, [], 22, /the pool has 4/],
    ['no memory', { memory: '0' }, [], 26, /0 MB/],
    ['more memory than there are huge pages', { memory: '1G' }, [], 27, /512 MB are missing/],
    ['half a core', { 'cpu-count': '3' }, [], 29, /full CPU cores have not been set/],
    ['the CID of the parent', { 'enclave-cid': '3' }, [], 29, /enclave CID is invalid/],
    ['an image that is not there', { 'eif-path': '/no/such.eif' }, [], 19, /\/no\/such\.eif/],
    ['an image that is none', { 'eif-path': program }, [], 35, /magic|EIF|header/i],
  ] as const) {
    it(`refuses ${what} as E${String(code).padStart(2, '0')}`, async () => {
      const { code: exit, stdout, stderr } = await start(change, ...more);
      const [first] = stderr.split('\n').filter((line) => new RegExp(vectors.error_line_pattern).test(line));
      assert.match(first ?? stderr, new RegExp(`^\\[ E${String(code).padStart(2, '0')} \\]`));
      assert.match(stderr, words);
      assert.equal(stdout, '');
      // A process that was started for it is missed: the last word is E39
      assert.equal(exit, code < 19 ? code : 39);
    });
  }

  it('refuses less memory than four times the image', async () => {
    const large = join(root, 'large.eif');
    await writeFile(large, '');
    await truncate(large, 65 * 1024 * 1024);
    const { stderr } = await start({ 'eif-path': large });
    assert.match(stderr, /^\[ E26 \].*256 MB.*260 MB/m);
  });

  it('gives back what a start that failed had taken', async () => {
    await start({ 'cpu-count': '3' });
    const node = 'sys/devices/system/node/node0/hugepages/hugepages-2048kB';
    assert.equal(await readFile(join(root, node, 'free_hugepages'), 'utf8'), '256\n');
  });

  it('names the link and the log of an error, and explains a code', async () => {
    const { stderr, code } = await run('console', '--enclave-name', 'nobody');
    assert.equal(code, 58);
    assert.match(stderr, /^For more details, please visit https:\/\/docs\.aws\.amazon\.com\/.*#E58$/m);
    const log = /error log found at "(.*)"$/m.exec(stderr)?.[1] ?? '';
    assert.match(await readFile(log, 'utf8'), /Action: Enclave Console/);
    assert.match((await run('explain', '--error-code', 'E26')).stderr, /too little memory/i);
    assert.match((await run('explain', '--error-code', 'E99')).stderr, /no error code/);
  });
});
