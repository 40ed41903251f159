import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { limits } from '../../cli/src/limits.ts';
import { writeSmallImage } from '../../services/supervisor/test/small-image.ts';
import { enclaver, start } from '../stack/enclaver.ts';
import { freePort } from '../stack/free-port.ts';
import { familyOf, nameOf } from '../stack/processes.ts';
import { TestStack } from '../stack/stack.ts';

/** Where images are unpacked: `/tmp` is memory on many machines. */
const FOLDER = process.env.TMPDIR ?? '/var/tmp';

/** Processes whose command line names a folder, other than this one. */
async function processesOf(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
    if (line.includes(folder) || environment.includes(`=${folder}/`)) found.push(line.replaceAll('\0', ' '));
  }
  return found;
}

async function privateStacks(): Promise<string[]> {
  return (await readdir(FOLDER)).filter((name) => /^enclaver-[A-Za-z0-9]{6}$/.test(name));
}

describe('a private stack', function () {
  this.timeout(120_000);

  it('leaves nothing behind when its command is killed', async () => {
    const before = new Set(await privateStacks());
    // Long enough under way to be caught: the stack comes up before the missing image is found out
    const run = start(['run', 'enclaver-test/no-such-image:e2e'], { DOCKER_HOST: 'unix:///nowhere.sock' });
    let folder: string | undefined;
    while (folder === undefined) {
      await sleep(20);
      const made = (await privateStacks()).find((name) => !before.has(name));
      if (made !== undefined && (await processesOf(`${FOLDER}/${made}`)).length >= 3) folder = `${FOLDER}/${made}`;
    }
    run.process.kill('SIGKILL');
    await run.finished;
    while ((await processesOf(folder)).length > 0) await sleep(100);
    assert.deepEqual(
      (await privateStacks()).filter((name) => !before.has(name)),
      [],
    );
  });

  it('that cannot start ends its command, which says why', async () => {
    const programs = await mkdtemp(join(tmpdir(), 'enclaver-programs-'));
    // All that is needed but nats-server
    for (const name of ['setpriv', 'readlink'])
      await promisify(execFile)('sh', ['-c', 'ln -s "$(command -v "$1")" "$2"', 'sh', name, programs]);
    const { code, stderr } = await enclaver(['trust', 'enclaver-test/no-such-image:e2e'], { PATH: programs });
    assert.equal(code, 1);
    assert.match(stderr, /^error\[NATS_MISSING\]/m);
    assert.match(stderr, /^error\[STACK_START_FAILED\]/m);
    await rm(programs, { recursive: true });
  });

  it('lets log-relay and bus stand behind the others where processors are scarce, with all their threads', async () => {
    await using stack = await TestStack.start();
    const seen = new Map<string, Set<number>>();
    for (const pid of familyOf(stack.pid)) {
      const threads = (await readdir(`/proc/${pid}/task`)).map((thread) => getPriority(Number(thread)) - getPriority());
      seen.set(nameOf(pid), new Set(threads));
    }
    // There is none beyond 19
    const logNiceness = Math.min(limits.logNiceness, 19 - getPriority());
    for (const [name, niceness] of [
      ['log-relay', logNiceness],
      ['nats-server', logNiceness],
      ['outer-proxy', 0],
    ] as const)
      assert.deepEqual(seen.get(name), new Set([niceness]), name);
  });

  it('says that it forgets what an enclave keeps outside', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'enclaver-forgets-'));
    const eif = join(folder, 'acme.eif');
    const kms = 'arn:aws:kms:us-east-1:111122223333:key/k';
    const acme = `acme: { domains: [a.example], terms_of_service_agreed: true, kms_key: "${kms}" }`;
    const ingress = `ingress: [{ listen_port: 8443, tls: { certificates: [{ ${acme} }] } }]\n`;
    const manifest = `version: v1\nname: forgets\ntarget: a:b\nsources: { app: "a:c" }\n${ingress}`;
    await writeSmallImage(eif, { manifest });
    const run = start(['run', eif, '-p', `127.0.0.1:${await freePort()}:8443`, '--memory-mb', '128']);
    await run.seen(/^warning: .* the private stack of this command forgets them/m);
    run.process.kill('SIGINT');
    await run.finished;
    await rm(folder, { recursive: true });
  });
});
