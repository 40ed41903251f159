import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus, type EnclaveRecord } from '@enclaver/bus';
import { type Eif, readEif } from '@enclaver/eif';
import { pino } from 'pino';
import { NatsProcess } from '../../../../libs/bus/test/nats-process.ts';
import { record } from '../../../../libs/bus/test/record.ts';
import { emulatedHost } from '../../src/backends/nitro/emulated-host.ts';
import { NitroBackend } from '../../src/backends/nitro/nitro-backend.ts';
import { NitroCli } from '../../src/backends/nitro/nitro-cli.ts';
import { Supervisor } from '../../src/supervisor.ts';
import { writeSmallImage } from '../small-image.ts';
import { ScriptedCli } from './scripted-cli.ts';

const ENCLAVE_ID = 'i-0123456789abcdef0-enc18a1b2c3d4e5f60';
const logger = pino({ level: 'silent' });

describe('supervisor with a nitro-cli that is slow', function () {
  this.timeout(20_000);

  let nats: NatsProcess;
  let bus: Bus;
  let cli: ScriptedCli;
  let root: string;
  let eif: Eif;
  let holder: ChildProcess;
  let supervisor: Supervisor;

  before(async () => {
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'test', credentials: nats.credentials });
    void (async () => {
      for await (const { id, name } of bus.events())
        if (name === 'requested') await bus.publishEvent(id, 'egress-ready', { ingress: [] });
        else if (name === 'failed' || name === 'exited') await bus.publishEvent(id, 'log-ended', { lines: 0, lost: 0 });
    })();
  });

  after(async () => {
    await bus.close();
    await nats[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    cli = await ScriptedCli.install();
    root = await mkdtemp(join(tmpdir(), 'enclaver-nitro-'));
    for (const path of ['dev/nitro_enclaves', 'hello.eif']) await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, 'dev/nitro_enclaves'), '');
    await writeSmallImage(join(root, 'hello.eif'));
    eif = await readEif(join(root, 'hello.eif'));
    holder = spawn('sleep', ['600']);
    await cli.answer('describe-enclaves', { stdout: '[]' });
    await cli.answer('terminate-enclave', { stdout: JSON.stringify({ EnclaveID: ENCLAVE_ID, Terminated: true }) });
    supervisor = make();
    await supervisor.start();
  });

  afterEach(async () => {
    holder.kill('SIGKILL');
    await supervisor.close();
    await cli[Symbol.asyncDispose]();
    for (const { id } of await bus.enclaves.list()) await bus.enclaves.remove(id);
    await rm(root, { recursive: true });
  });

  function make(): Supervisor {
    const backend = new NitroBackend({ logger, emulated: emulatedHost(root), commandMs: 500 });
    return new Supervisor({ bus, backend, logger, runDir: join(root, 'run'), stopOnExit: false });
  }

  /** As nitro-cli tells of the enclave of that name. */
  const describedAs = (name: string) => ({
    ...{ EnclaveName: name, EnclaveID: ENCLAVE_ID, ProcessID: holder.pid, EnclaveCID: 77, State: 'RUNNING' },
    ...{ NumberOfCPUs: 2, CPUIDs: [1, 3], MemoryMiB: 512, Flags: 'NONE', Measurements: eif.measurements },
  });

  async function runToLaunching(): Promise<EnclaveRecord> {
    await cli.answer('run-enclave', { hangs: true });
    const run = supervisor.handlers.run({ eif: join(root, 'hello.eif'), memoryMb: 512, publish: [] });
    const { enclave } = await run;
    while ((await cli.calls('run-enclave')) === 0) await sleep(10);
    // What it says once it goes on: the name is known only now
    const answer = join(cli.folder, 'answers/run-enclave/1/stdout');
    await writeFile(answer, JSON.stringify(describedAs(enclave.id)));
    await cli.answer('describe-enclaves', { stdout: JSON.stringify([describedAs(enclave.id)]) });
    return enclave;
  }

  const recordOf = async (id: string) => (await supervisor.handlers.describe({ id })).enclave;

  it('ends an enclave that was stopped during its start, and what nitro-cli starts all the same', async () => {
    const { id } = await runToLaunching();
    await supervisor.handlers.stop({ id });
    const { state, result } = await recordOf(id);
    assert.deepEqual([state, result?.kind === 'failed' && result.error.code], ['failed', 'STOPPED']);
    await cli.release('run-enclave');
    while ((await cli.calls('terminate-enclave')) === 0) await sleep(10);
    assert.deepEqual(await cli.arguments('terminate-enclave'), ['terminate-enclave', '--enclave-id', ENCLAVE_ID]);
    holder.kill('SIGKILL');
    const folder = join(root, 'run', id);
    const isThere = () => access(folder).then(...([() => true, () => false] as const));
    while (await isThere()) await sleep(10);
    assert.equal((await recordOf(id)).state, 'failed');
    assert.equal(await cli.calls('run-enclave'), 1, 'no second boot');
  });

  it('ends what a nitro-cli starts whose supervisor was killed', async () => {
    await supervisor.close();
    const id = 'e-0123456789ab';
    const folder = join(root, 'run', id);
    await mkdir(folder, { recursive: true });
    const eifPath = join(root, 'hello.eif');
    const { measurements } = eif;
    const times = { requested: '2026-01-01T00:00:00.000Z', launching: '2026-01-01T00:00:01.000Z' };
    const launching = { ...record, id, backend: 'nitro', state: 'launching', times } as const;
    await bus.enclaves.put({ ...launching, eif: eifPath, measurements });
    await cli.answer('run-enclave', { hangs: true });
    const left = new NitroCli().start({
      name: id,
      eifPath,
      eifBytes: 1,
      cpuCount: 2,
      memoryMb: 512,
      cid: 77,
      debug: false,
    });
    while ((await cli.calls('run-enclave')) === 0) await sleep(10);
    supervisor = make();
    await supervisor.start();
    assert.equal((await recordOf(id)).state, 'lost');
    await writeFile(join(cli.folder, 'answers/run-enclave/1/stdout'), JSON.stringify(describedAs(id)));
    await cli.answer('describe-enclaves', { stdout: JSON.stringify([describedAs(id)]) });
    await cli.release('run-enclave');
    await left;
    const isThere = () => access(folder).then(...([() => true, () => false] as const));
    while ((await isThere()) && (await cli.calls('terminate-enclave')) === 0) await sleep(10);
    assert.deepEqual(await cli.arguments('terminate-enclave'), ['terminate-enclave', '--enclave-id', ENCLAVE_ID]);
    holder.kill('SIGKILL');
    while (await isThere()) await sleep(10);
  });

  it('does not start while nitro-cli hangs or is silent, loses no enclave by that, and takes it up afterwards', async () => {
    const { id } = await runToLaunching();
    await cli.release('run-enclave');
    while ((await bus.enclaves.get(id))?.pid !== holder.pid) await sleep(10);
    await supervisor.close();
    for (const [answer, code] of [
      [{ hangs: true as const }, 'NITRO_CLI_TIMEOUT'],
      [{}, 'NITRO_CLI_OUTPUT'],
    ] as const) {
      await cli.answer('describe-enclaves', answer);
      const failing = make();
      await assert.rejects(failing.start(), { code });
      await failing.close();
      assert.equal((await bus.enclaves.get(id))?.state, 'booting');
    }
    await cli.answer('describe-enclaves', { stdout: JSON.stringify([describedAs(id)]) });
    supervisor = make();
    await supervisor.start();
    assert.deepEqual(
      (await supervisor.handlers.list({})).enclaves.map((enclave) => [enclave.id, enclave.state]),
      [[id, 'booting']],
    );
    await supervisor.handlers.stop({ id });
    while ((await cli.calls('terminate-enclave')) === 0) await sleep(10);
  });
});
