import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { makeParent } from '@enclaver/nitro-cli-emulator';
import vectors from '../../services/supervisor/test/vectors/nitro-cli-outputs.json' with { type: 'json' };
import { busyboxLayout } from '../images/busybox.ts';
import { enclaver, type Running, start } from '../stack/enclaver.ts';
import { freePort } from '../stack/free-port.ts';
import { TestStack } from '../stack/stack.ts';

const emulator = new URL('../../tools/nitro-cli/bin/', import.meta.url).pathname;
const PATH = `${emulator}:${process.env.PATH}`;
const APP = [
  "trap 'echo stopping; exit 7' TERM",
  'mkdir /www; echo hello >/www/index.html',
  'busybox httpd -p 0.0.0.0:8080 -h /www',
  'echo serving',
  'while :; do sleep 1 & wait; done',
];

interface Described {
  EnclaveName: string;
  ProcessID: number;
  CPUIDs: number[];
}

/** Undefined while the app does not listen yet. */
async function answerOf(url: string): Promise<string | undefined> {
  return fetch(url).then(
    (answer) => answer.text(),
    () => undefined,
  );
}

describe('the nitro backend, with an emulator of nitro-cli', function () {
  this.timeout(180_000);

  let work: string;
  let parent: string;
  let stack: TestStack;
  let eif: string;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-e2e-'));
    parent = await mkdtemp(join(tmpdir(), 'en-'));
    await makeParent(parent, { cpus: [2, 3, 4, 5], memoryMb: 1536 });
    stack = await TestStack.start({}, { PATH, ENCLAVER_NITRO_EMULATED: parent });
    await busyboxLayout(join(work, 'app'), ['sh', '-c', APP.join('\n')]);
    const manifest =
      'version: v1\nname: served\ntarget: enclaver-test/served:enclave\nsources:\n  app: oci:app\n' +
      'defaults: { cpu_count: 2, memory_mb: 768 }\ningress:\n  - listen_port: 8080\n';
    await writeFile(join(work, 'enclaver.yaml'), manifest);
    eif = join(work, 'served.eif');
    const built = await enclaver(['build', '-f', join(work, 'enclaver.yaml'), '--eif-only', eif], stack.env);
    assert.equal(built.code, 0, built.stderr);
  });

  after(async () => {
    await stack[Symbol.asyncDispose]();
    await rm(work, { recursive: true });
    await rm(parent, { recursive: true });
  });

  async function described(...more: string[]): Promise<Described[]> {
    const env = { ...process.env, ENCLAVER_NITRO_EMULATED: parent };
    const args = ['describe-enclaves', ...more];
    return JSON.parse((await promisify(execFile)(join(emulator, 'nitro-cli'), args, { env })).stdout);
  }

  async function freePages(): Promise<number> {
    await described();
    const node = 'sys/devices/system/node/node0/hugepages/hugepages-2048kB';
    return Number(await readFile(join(parent, node, 'free_hugepages'), 'utf8'));
  }

  interface Listed {
    id: string;
    name: string;
    state: string;
    pid: number;
    backend: string;
  }

  /** Undefined while no supervisor answers, too. */
  async function recordOf(name: string): Promise<Listed | undefined> {
    const { code, stdout } = await enclaver(['ps', '-o', 'json'], stack.env);
    return code === 0 ? JSON.parse(stdout).find((each: Listed) => each.name === name) : undefined;
  }

  async function record(name: string): Promise<Listed> {
    const found = await recordOf(name);
    assert.ok(found, name);
    return found;
  }

  /** Of this stack: its environment names the folder. */
  async function supervisorPid(): Promise<number> {
    for (const pid of (await readdir('/proc')).filter((each) => /^\d+$/.test(each))) {
      const about = async (file: string) => await readFile(join('/proc', pid, file), 'utf8').catch(() => '');
      if (!(await about('cmdline')).includes('services/supervisor/src/main.ts')) continue;
      if ((await about('environ')).includes(`${stack.dir}/`)) return Number(pid);
    }
    throw new Error('no supervisor runs');
  }

  async function run(name: string, ...more: string[]): Promise<{ command: Running; url: string }> {
    const port = await freePort();
    const args = ['run', eif, '--name', name, '-p', `127.0.0.1:${port}:8080`, ...more];
    return { command: start(args, stack.env), url: `http://127.0.0.1:${port}/` };
  }

  it('runs two enclaves at once, takes them up again, tells how each ends, and gives back what they had', async () => {
    const first = await run('first', '--debug');
    const second = await run('second');
    await Promise.all([first.command.seen(/ ready/), second.command.seen(/ ready/)]);
    for (const { url } of [first, second]) while ((await answerOf(url)) !== 'hello\n') await sleep(100);
    const [one, two] = [await record('first'), await record('second')];
    assert.deepEqual([one.backend, two.backend], ['nitro', 'nitro']);
    const enclaves = await described();
    assert.deepEqual(
      new Map(enclaves.map(({ EnclaveName, ProcessID }) => [EnclaveName, ProcessID])),
      new Map([one, two].map(({ id, pid }) => [id, pid])),
    );
    assert.deepEqual(enclaves.flatMap(({ CPUIDs }) => CPUIDs).toSorted(), [2, 3, 4, 5]);
    assert.equal(await freePages(), 0);
    for (const [sample, args] of [
      ['describe-enclaves', []],
      ['describe-enclaves-metadata', ['--metadata']],
    ] as const) {
      const [shape] = JSON.parse(vectors.stdout[sample]);
      assert.deepEqual(
        Object.keys((await described(...args))[0] ?? {}),
        Object.keys(shape),
        `the emulator's ${sample}`,
      );
    }

    const third = await enclaver(['run', eif, '--name', 'third'], stack.env);
    assert.equal(third.code, 1);
    assert.match(third.stderr, /error\[NITRO_CPUS_SHORT\].*pool of the allocator has 4.*have 4 of them/);

    process.kill(await supervisorPid(), 'SIGKILL');
    while ((await recordOf('first'))?.state !== 'ready') await sleep(100);
    assert.equal(await (await fetch(first.url)).text(), 'hello\n', 'taken up by the next supervisor');
    const console = ['logs', 'first', '--stream', 'console'];
    const readers = async () => {
      const { stdout, stderr } = await enclaver(console, stack.env);
      return (stdout + stderr).split('Successfully connected to the console').length - 1;
    };
    while ((await readers()) !== 2) await sleep(100);

    process.kill(two.pid, 'SIGKILL');
    const lost = await second.command.finished;
    assert.equal(lost.code, 1, lost.stderr);
    assert.match(lost.stderr, /error\[MACHINE_ENDED\]/);

    assert.equal((await enclaver(['stop', 'first'], stack.env)).code, 0);
    const stopped = await first.command.finished;
    assert.equal(stopped.code, 7, stopped.stderr);
    assert.match(stopped.stdout, /^serving\nstopping$/m);
    assert.match(stopped.stdout + stopped.stderr, /Successfully connected to the console/);
    // The machine goes once its log has been read to the end, and gives back what it had
    while ((await described()).length > 0) await sleep(50);
    while ((await freePages()) < 768) await sleep(50);
  });
});
