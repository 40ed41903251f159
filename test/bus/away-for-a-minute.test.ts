import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus, type BusError, type BusUser, type EnclaveEvent } from '@enclaver/bus';
import { pino } from 'pino';
import { NatsProcess } from '../../libs/bus/test/nats-process.ts';
import { FakeLog } from '../../services/log-relay/test/fake-log.ts';
import { Supervisor } from '../../services/supervisor/src/supervisor.ts';
import { FakeBackend, type FakeMachine } from '../../services/supervisor/test/fake-backend.ts';
import { writeSmallImage } from '../../services/supervisor/test/small-image.ts';
import { enclaver } from '../stack/enclaver.ts';

/** Longer than every wait of a client: its requests, heartbeats of watches, three renewals of a lease, the wait for an outer-proxy. */
const AWAY_MS = 60_000;

/** The real bus, outer-proxy and log-relay, and the supervisor with machines that are none. */
describe('a bus that is away for a minute', function () {
  this.timeout(120_000);

  let work: string;
  let nats: NatsProcess;
  let bus: Bus;
  let reader: Bus;
  let cli: Bus;
  let supervisor: Supervisor;
  const backend = new FakeBackend();
  const children: ChildProcess[] = [];
  const lost: BusError[] = [];
  const seen: EnclaveEvent[] = [];
  /** The last state of each enclave that a watch of the bucket told. */
  const states = new Map<string, string | undefined>();

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-minute-'));
    nats = await NatsProcess.start();
    await writeSmallImage(join(work, 'hello.eif'));
    backend.onLaunch = (machine) => {
      machine.guest.on(8080, (socket) => socket.once('data', () => socket.end('served')));
      machine.boots();
      machine.say({ status: 'running', phase: 'ready', timings: { initMs: 1, odynMs: 2, startingMs: 3, readyMs: 4 } });
    };
    bus = await Bus.connect({ source: 'supervisor', credentials: nats.as('supervisor') });
    const runDir = join(work, 'run');
    await bus.lease('supervisor', { onLost: (error) => lost.push(error) });
    supervisor = new Supervisor({ bus, backend, logger: pino({ level: 'silent' }), runDir, stopOnExit: false });
    await supervisor.start();
    await bus.serve('supervisor', '0.0.0', supervisor.handlers);
    await serve('outer-proxy', { ENCLAVER_RUN_DIR: runDir });
    await serve('log-relay', { ENCLAVER_LOG_SINKS: `file:${join(work, 'logs')}` });
    await writeFile(join(work, 'cli.json'), JSON.stringify(nats.as('cli')));
    reader = await Bus.connect({ source: 'reader', credentials: nats.as('reader') });
    cli = await Bus.connect({ source: 'cli', credentials: nats.as('cli') });
    void follow();
  });

  after(async () => {
    await supervisor.close();
    for (const machine of backend.machines) await machine.die();
    for (const child of children) {
      child.kill('SIGKILL');
      if (child.exitCode === null) await once(child, 'exit');
    }
    await bus.close();
    await reader.close();
    await cli.close();
    await nats[Symbol.asyncDispose]();
    await rm(work, { recursive: true });
  });

  async function serve(name: BusUser, more: Record<string, string>): Promise<void> {
    await writeFile(join(work, `${name}.json`), JSON.stringify(nats.as(name)));
    const http = { ENCLAVER_HTTP: `unix:${join(work, `${name}.sock`)}` };
    const env = { ...process.env, ENCLAVER_BUS: join(work, `${name}.json`), ...http, ...more };
    const main = join(import.meta.dirname, `../../services/${name}/src/main.ts`);
    const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'inherit', 'pipe'] });
    children.push(child);
    child.stderr?.resume();
    await until(() => readiness(name).catch(() => 0), 200);
  }

  async function readiness(name: string): Promise<number> {
    const asked = request({ socketPath: join(work, `${name}.sock`), path: '/readyz' }).end();
    const [response] = await once(asked, 'response');
    response.resume();
    return response.statusCode;
  }

  async function follow(): Promise<void> {
    void (async () => {
      for await (const { id, record } of cli.enclaves.watch()) states.set(id, record?.state);
    })();
    for await (const event of reader.events()) seen.push(event);
  }

  /** Events of one enclave that were seen since. */
  const names = (id: string, since = 0): string[] =>
    seen
      .slice(since)
      .filter((event) => event.id === id)
      .map(({ name }) => name);

  async function until<T>(look: () => T | Promise<T>, wanted: T): Promise<void> {
    while ((await look()) !== wanted) await sleep(20);
  }

  async function runToReady(name: string) {
    const publish = [{ listenPort: 8080, host: '127.0.0.1', port: 0 }];
    const { enclave } = await supervisor.handlers.run({ name, eif: join(work, 'hello.eif'), publish });
    await until(() => names(enclave.id).includes('ready'), true);
    const machine = backend.machines.at(-1) as FakeMachine;
    const { id, ingress } = (await supervisor.handlers.describe({ id: enclave.id })).enclave;
    return { id, machine, port: ingress[0]?.port ?? 0, log: new FakeLog(machine.guest) };
  }

  async function ask(port: number): Promise<string> {
    const socket = connect(port, '127.0.0.1');
    socket.write('ask');
    return await text(socket);
  }

  async function linesOf(id: string): Promise<string[]> {
    const lines: string[] = [];
    await using cli = await Bus.connect({ source: 'cli', credentials: nats.as('cli') });
    for await (const message of cli.logs({ id })) lines.push(...message.lines.map((line) => line.text));
    return lines;
  }

  /** What the log-relay's own file has of it. */
  async function sunk(name: string): Promise<string[]> {
    const lines = (await readFile(join(work, `logs/${name}.log`), 'utf8')).trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line).text);
  }

  const command = (...args: string[]) => enclaver(args, { ENCLAVER_BUS: join(work, 'cli.json') });

  it('costs nothing that was accepted or happened meanwhile, and no enclave a connection', async () => {
    const stays = await runToReady('stays');
    const ends = await runToReady('ends');
    const written = ['before'];
    stays.log.add('stdout', 'before');
    await until(async () => (await linesOf(stays.id)).length, 1);
    // Accepted, and the bus is gone before anybody has heard of it
    const accepted = (await supervisor.handlers.run({ name: 'accepted', eif: join(work, 'hello.eif'), publish: [] }))
      .enclave;
    await nats.crash();
    const since = seen.length;

    const back = performance.now() + AWAY_MS;
    ends.log.add('stdout', 'the last words');
    ends.log.end();
    ends.machine.say({ status: 'exited', code: 7 });
    const phases = ['unhealthy', 'ready'] as const;
    for (let turn = 0; performance.now() < back; turn += 1) {
      written.push(`line ${turn}`);
      stays.log.add('stdout', `line ${turn}`);
      const phase = phases[turn];
      if (phase !== undefined) stays.machine.say({ status: 'running', phase, reason: 'too slow' });
      assert.equal(await ask(stays.port), 'served');
      if (turn === 5) {
        const refused = await command('ps');
        assert.equal(refused.code, 1);
        assert.match(refused.stderr, /BUS_UNREACHABLE/);
        assert.equal(await readiness('outer-proxy'), 503);
        assert.equal(await readiness('log-relay'), 503);
      }
      await sleep(1_000);
    }
    await nats.restart();

    await until(() => names(accepted.id).includes('ready'), true);
    await until(() => names(ends.id, since).includes('log-ended'), true);
    await until(() => names(stays.id, since).includes('ready'), true);
    await until(async () => (await linesOf(stays.id)).length, written.length);
    assert.deepEqual(names(stays.id, since), ['unhealthy', 'ready']);
    assert.deepEqual(names(ends.id, since).sort(), ['exited', 'log-ended']);
    const exited = seen.find(({ id, name }) => id === ends.id && name === 'exited');
    assert.deepEqual(exited?.data, { result: { kind: 'exited', code: 7 } });
    assert.deepEqual(await linesOf(stays.id), written);
    assert.deepEqual(await linesOf(ends.id), ['the last words']);
    await until(async () => (await sunk('stays')).length, written.length);
    assert.deepEqual(await sunk('stays'), written);
    await until(() => states.get(ends.id), 'exited');
    await until(() => states.get(accepted.id), 'ready');

    // The same processes go on, and the supervisor is still the one
    assert.deepEqual(
      children.map(({ exitCode, signalCode }) => exitCode ?? signalCode),
      [null, null],
    );
    const listed = await command('ps');
    assert.match(listed.stdout, /stays[\s\S]*accepted/);
    assert.equal(lost.length, 0);
    await using second = await Bus.connect({ source: 'second', credentials: nats.as('supervisor') });
    await assert.rejects(second.lease('supervisor', { onLost: (error) => lost.push(error) }), { code: 'LEASE_HELD' });
    const after = await runToReady('after');
    assert.equal(await ask(after.port), 'served');
  });
});
