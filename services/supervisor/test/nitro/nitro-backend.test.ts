import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Eif, readEif } from '@enclaver/eif';
import { pino } from 'pino';
import type { LaunchRequest } from '../../src/backends/backend.ts';
import { emulatedHost } from '../../src/backends/nitro/emulated-host.ts';
import { NitroBackend } from '../../src/backends/nitro/nitro-backend.ts';
import { writeSmallImage } from '../small-image.ts';
import { ScriptedCli } from './scripted-cli.ts';

const NAME = 'e-0123456789ab';
const ENCLAVE_ID = 'i-0123456789abcdef0-enc18a1b2c3d4e5f60';

describe('nitro backend', () => {
  let cli: ScriptedCli;
  let root: string;
  let folder: string;
  let eif: Eif;
  let holder: ChildProcess;
  let backend: NitroBackend;
  let request: LaunchRequest;

  beforeEach(async () => {
    cli = await ScriptedCli.install();
    root = await mkdtemp(join(tmpdir(), 'enclaver-nitro-'));
    folder = join(root, NAME);
    await mkdir(folder);
    await writeSmallImage(join(root, 'hello.eif'));
    eif = await readEif(join(root, 'hello.eif'));
    holder = spawn('sleep', ['600']);
    const emulated = emulatedHost(root);
    backend = new NitroBackend({ logger: pino({ level: 'silent' }), emulated });
    const vsock = emulated.vsock(77);
    const eifPath = join(root, 'hello; rm -rf $HOME.eif');
    request = { folder, eif, eifPath, cpuCount: 2, memoryMb: 512, vsock, debug: false };
    await cli.answer('run-enclave', { stdout: JSON.stringify(started()) });
    await cli.answer('describe-enclaves', { stdout: JSON.stringify([described()]) });
    await cli.answer('terminate-enclave', { stdout: JSON.stringify({ EnclaveID: ENCLAVE_ID, Terminated: true }) });
  });

  afterEach(async () => {
    holder.kill('SIGKILL');
    await cli[Symbol.asyncDispose]();
    await rm(root, { recursive: true });
  });

  const started = () => ({
    EnclaveName: NAME,
    EnclaveID: ENCLAVE_ID,
    ProcessID: holder.pid,
    EnclaveCID: 77,
    NumberOfCPUs: 2,
    CPUIDs: [1, 3],
    MemoryMiB: 512,
  });
  const described = () => ({ ...started(), State: 'RUNNING', Flags: 'NONE', Measurements: eif.measurements });

  /** The enclave, and so the process that holds it, ends when nitro-cli is told so. */
  async function launchUntilTerminated(): Promise<void> {
    const over = new AbortController();
    const ending = (async () => {
      while (!over.signal.aborted && (await cli.calls('terminate-enclave')) === 0) await sleep(10);
      holder.kill('SIGKILL');
    })();
    try {
      await backend.launch(request);
    } finally {
      over.abort();
      await ending;
    }
  }

  it('gives nitro-cli every value as an argument of its own', async () => {
    const machine = await backend.launch(request);
    assert.equal(machine.pid, holder.pid);
    await machine.booted;
    assert.deepEqual(await cli.arguments('run-enclave'), [
      'run-enclave',
      ...['--eif-path', request.eifPath, '--memory', '512', '--cpu-count', '2'],
      ...['--enclave-cid', '77', '--enclave-name', NAME],
    ]);
  });

  it('tells the end of the process that holds the enclave', async () => {
    const machine = await backend.launch(request);
    holder.kill('SIGKILL');
    const { reason, detail } = await machine.gone;
    assert.equal(reason, 'died');
    assert.match(detail, new RegExp(ENCLAVE_ID));
    await machine.kill();
    assert.equal(await cli.calls('terminate-enclave'), 0, 'nothing is left to terminate');
  });

  it('terminates by the id of the enclave, once', async () => {
    const machine = await backend.launch(request);
    const kills = [machine.kill(), machine.kill()];
    while ((await cli.calls('terminate-enclave')) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    holder.kill('SIGKILL');
    await Promise.all(kills);
    assert.deepEqual(await cli.arguments('terminate-enclave'), ['terminate-enclave', '--enclave-id', ENCLAVE_ID]);
    assert.equal(await cli.calls('terminate-enclave'), 1);
    assert.equal((await machine.gone).reason, 'killed');
  });

  it('starts again what fails because another enclave has just ended', async () => {
    const gone = { code: 39, stderr: '[ E39 ] Enclave process connection failure.\n' };
    await cli.answer('run-enclave', gone, { stdout: JSON.stringify(started()) });
    await cli.answer('describe-enclaves', { stdout: '[]' }, { stdout: JSON.stringify([described()]) });
    assert.equal((await backend.launch(request)).pid, holder.pid);
    assert.equal(await cli.calls('run-enclave'), 2);
  });

  it('does not start again what cannot pass, and ends what a failed start has left', async () => {
    await cli.answer('run-enclave', { code: 39, stderr: '[ E26 ] Too little.\n[ E39 ] Gone.\n' });
    await assert.rejects(backend.launch(request), { code: 'NITRO_E26', remedy: /--memory-mb/ });
    assert.equal(await cli.calls('run-enclave'), 1);
    assert.equal(await cli.calls('terminate-enclave'), 1);
  });

  it('boots once more, and then gives up', async () => {
    await cli.answer('run-enclave', { code: 39, stderr: '[ E36 ] Enclave boot failure.\n[ E39 ] Gone.\n' });
    await assert.rejects(backend.launch(request), { code: 'NITRO_E36', remedy: /--debug/ });
    assert.equal(await cli.calls('run-enclave'), 2);
  });

  it('runs nothing that measures otherwise than what was read', async () => {
    const Measurements = { ...eif.measurements, PCR2: '0'.repeat(96) };
    await cli.answer('describe-enclaves', { stdout: JSON.stringify([{ ...described(), Measurements }]) });
    await assert.rejects(launchUntilTerminated(), { code: 'EIF_CHANGED' });
    assert.equal(await cli.calls('terminate-enclave'), 1);
  });

  it('leaves nothing that runs where it cannot see what it has started', async () => {
    await cli.answer('describe-enclaves', { stdout: 'Segmentation fault' });
    await assert.rejects(launchUntilTerminated(), { code: 'NITRO_CLI_OUTPUT' });
    assert.deepEqual(await cli.arguments('terminate-enclave'), ['terminate-enclave', '--enclave-id', ENCLAVE_ID]);
  });

  it('starts one enclave after another: they share the heartbeat port of the host', async () => {
    await cli.answer('run-enclave', { code: 35, stderr: '[ E35 ] first\n' }, { stdout: JSON.stringify(started()) });
    await cli.answer('describe-enclaves', { stdout: '[]' }, { stdout: JSON.stringify([described()]) });
    const first = backend.launch(request);
    const second = backend.launch(request);
    await assert.rejects(first, { code: 'NITRO_E35' });
    assert.equal((await second).pid, holder.pid);
  });

  it('takes up a running enclave by its name, and no other', async () => {
    const record = { id: NAME, debug: false } as Parameters<NitroBackend['adopt']>[0];
    assert.equal((await backend.adopt(record, folder))?.pid, holder.pid);
    assert.equal(await backend.adopt({ ...record, id: 'e-ffffffffffff' }, folder), undefined);
    await cli.answer('describe-enclaves', { stdout: JSON.stringify([{ ...described(), State: 'TERMINATING' }]) });
    assert.equal(await backend.adopt(record, folder), undefined);
  });

  it('says so when nitro-cli hangs or is silent, in place of taking an enclave for gone', async () => {
    const record = { id: NAME, debug: false } as Parameters<NitroBackend['adopt']>[0];
    const hurried = new NitroBackend({ logger: pino({ level: 'silent' }), commandMs: 200 });
    await cli.answer('describe-enclaves', { hangs: true });
    await assert.rejects(hurried.adopt(record, folder), { code: 'NITRO_CLI_TIMEOUT', remedy: /hang/ });
    await cli.answer('describe-enclaves', {});
    await assert.rejects(hurried.adopt(record, folder), { code: 'NITRO_CLI_OUTPUT' });
  });

  it('serves the console of an enclave that it takes up, where an earlier supervisor was killed', async () => {
    await cli.answer('console', { stdout: 'still here\n' });
    const { console = '' } = backend.place(folder, [], true);
    // What a supervisor that was killed leaves of it
    const killed = spawn(process.execPath, ['-e', `require('net').createServer().listen('${console}')`]);
    while (!(await readdir(folder)).includes('console.sock')) await sleep(10);
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    const record = { id: NAME, debug: true } as Parameters<NitroBackend['adopt']>[0];
    const machine = await backend.adopt(record, folder);
    const reader = connect(console);
    let text = '';
    for await (const part of reader) text += part;
    assert.equal(text, 'still here\n');
    holder.kill('SIGKILL');
    await machine?.kill();
  });

  it('leaves nobody reading the console behind when the supervisor is killed: a console has one reader', async () => {
    await cli.answer('console', { hangs: true });
    const module = JSON.stringify(new URL('../../src/backends/nitro/nitro-cli.ts', import.meta.url).href);
    const script = `const { NitroCli } = await import(${module}); new NitroCli().console('${ENCLAVE_ID}').stdout.resume()`;
    const killed = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    while ((await cli.pid('console')) === 0) await sleep(10);
    const reader = await cli.pid('console');
    killed.kill('SIGKILL');
    while (await access(`/proc/${reader}`).then(...([() => true, () => false] as const))) await sleep(10);
  });

  it('serves the console of debug mode at a socket, to one reader after another, to its end', async () => {
    await cli.answer('console', { stdout: 'Linux version 6.12\nready\n' });
    const { console = '' } = backend.place(folder, [], true);
    const machine = await backend.launch({ ...request, debug: true });
    const reader = connect(console);
    let text = '';
    reader.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    await once(reader, 'close');
    assert.equal(text, 'Linux version 6.12\nready\n');
    assert.ok((await cli.arguments('run-enclave')).includes('--debug-mode'));
    holder.kill('SIGKILL');
    await machine.kill();
    assert.equal(backend.place(folder, [], false).console, undefined, 'no console without debug mode');
  });

  it('does not refuse a start for what an ending enclave still holds, but for what stays', async () => {
    const files = { 'dev/nitro_enclaves': '', 'sys/module/nitro_enclaves/parameters/ne_cpus': '2-3' };
    for (const [path, text] of Object.entries(files)) {
      await mkdir(join(root, dirname(path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    await cli.answer('describe-enclaves', { stdout: JSON.stringify([described()]) }, { stdout: '[]' });
    await backend.check(eif, 512, 2);
    assert.equal(await cli.calls('describe-enclaves'), 2);
    await cli.answer('describe-enclaves', { stdout: JSON.stringify([described()]) });
    await assert.rejects(backend.check(eif, 512, 2), { code: 'NITRO_CPUS_SHORT' });
  });

  it('says what is missing on this host', async () => {
    await assert.rejects(backend.check(eif, 512, 2), { code: 'NITRO_DEVICE_MISSING' });
    await mkdir(join(root, 'dev'));
    await writeFile(join(root, 'dev/nitro_enclaves'), '');
    await backend.check(eif, 512, 2);
    process.env.PATH = folder;
    await assert.rejects(backend.check(eif, 512, 2), { code: 'NITRO_CLI_MISSING', remedy: /aws-nitro-enclaves-cli/ });
  });
});
