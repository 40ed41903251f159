import assert from 'node:assert/strict';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus, type EnclaveEvent, type EnclaveEventName, type EnclaveRecord, hasEnded } from '@enclaver/bus';
import { readEif } from '@enclaver/eif';
import { pino } from 'pino';
import { NatsProcess } from '../../../libs/bus/test/nats-process.ts';
import invalid from '../../../libs/eif/test/vectors/eif-invalid.json' with { type: 'json' };
import { type Limits, limits } from '../src/limits.ts';
import { Supervisor } from '../src/supervisor.ts';
import { askStore } from './ask-store.ts';
import { FakeBackend, type FakeMachine } from './fake-backend.ts';
import { writeSmallImage } from './small-image.ts';

const logger = pino({ level: 'silent' });
const timings = { initMs: 1, odynMs: 2, startingMs: 3, readyMs: 4 };

describe('supervisor', () => {
  let nats: NatsProcess;
  let bus: Bus;
  let folder: string;
  let eif: string;
  let backend: FakeBackend;
  let supervisor: Supervisor;
  let proxy: 'ready' | 'failed' | 'silent';
  let events: ReturnType<Bus['events']>;
  let seen: EnclaveEvent[];
  let wake = Promise.withResolvers<void>();

  before(async () => {
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'test', credentials: nats.credentials });
  });

  after(async () => {
    await bus.close();
    await nats[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'enclaver-supervisor-'));
    eif = join(folder, 'hello.eif');
    await writeSmallImage(eif);
    backend = new FakeBackend();
    proxy = 'ready';
    seen = [];
    events = bus.events();
    await events.ready;
    void otherServices();
    supervisor = await startSupervisor();
  });

  afterEach(async () => {
    await supervisor.close();
    for (const machine of backend.machines) await machine.die();
    await events.close();
    for (const { id } of await bus.enclaves.list()) await bus.enclaves.remove(id);
    await rm(folder, { recursive: true });
  });

  async function startSupervisor(changed: Partial<Limits> = {}): Promise<Supervisor> {
    const runDir = join(folder, 'run');
    const made = new Supervisor({ bus, backend, logger, runDir, stopOnExit: false, limits: { ...limits, ...changed } });
    await made.start();
    return made;
  }

  async function restartSupervisor(changed: Partial<Limits> = {}): Promise<void> {
    await supervisor.close();
    supervisor = await startSupervisor(changed);
  }

  /** Outer-proxy and log-relay, as far as the supervisor hears of them; and all events, for the tests. */
  async function otherServices(): Promise<void> {
    for await (const event of events) {
      seen.push(event);
      wake.resolve();
      wake = Promise.withResolvers();
      const { id, name } = event;
      if (name === 'requested' && proxy === 'ready')
        await bus.publishEvent(id, 'egress-ready', { ingress: [{ listenPort: 8080, host: '127.0.0.1', port: 1234 }] });
      if (name === 'requested' && proxy === 'failed')
        await bus.publishEvent(id, 'proxy-failed', { error: { code: 'PORT_IN_USE', message: 'taken' } });
      if (name === 'exited' || name === 'failed') await bus.publishEvent(id, 'log-ended', { lines: 0, lost: 0 });
    }
  }

  async function until<N extends EnclaveEventName>(name: N): Promise<Extract<EnclaveEvent, { name: N }>> {
    for (;;) {
      const found = seen.find((event) => event.name === name);
      if (found !== undefined) return found as Extract<EnclaveEvent, { name: N }>;
      await wake.promise;
    }
  }

  const names = (): string[] => seen.map(({ name }) => name).filter((name) => name !== 'log-ended');
  const run = async (more: object = {}): Promise<EnclaveRecord> =>
    (await supervisor.handlers.run({ eif, ...more })).enclave;
  const machine = (): FakeMachine => backend.machines.at(-1) as FakeMachine;

  async function bootTo(phase: 'starting' | 'ready'): Promise<EnclaveRecord> {
    backend.onLaunch = (launched) => {
      launched.boots();
      launched.say({ status: 'running', phase: 'starting', timings });
    };
    const record = await run();
    await until('starting');
    if (phase === 'ready') {
      machine().say({ status: 'running', phase: 'ready', timings });
      await until('ready');
    }
    return record;
  }

  async function goneFolder(id: string): Promise<void> {
    while (
      await access(join(folder, 'run', id)).then(
        () => true,
        () => false,
      )
    )
      await new Promise((resolve) => setTimeout(resolve, 5));
  }

  it('leads an enclave through its life and tells every step', async () => {
    const { id } = await bootTo('ready');
    machine().say({ status: 'exited', code: 3 });
    const { data } = await until('exited');
    assert.deepEqual(data.result, { kind: 'exited', code: 3 });
    assert.deepEqual(names(), ['requested', 'egress-ready', 'launching', 'booting', 'starting', 'ready', 'exited']);
    await goneFolder(id);
    assert.equal(machine().killed, true);
    const record = await bus.enclaves.get(id);
    assert.equal(record?.state, 'exited');
    assert.deepEqual(record?.timings, timings);
    assert.deepEqual(record?.ingress, [{ listenPort: 8080, host: '127.0.0.1', port: 1234 }]);
    assert.deepEqual(Object.keys(record?.times ?? {}).sort(), [
      'booting',
      'exited',
      'launching',
      'ready',
      'requested',
      'starting',
    ]);
  });

  for (const signal of ['"SIGKILL"', '9']) {
    it(`reports an app that a signal ended, spelt ${signal} (D1)`, async () => {
      await bootTo('ready');
      machine().say(Buffer.from(`{"status":"signaled","signal":${signal}}\n`));
      assert.deepEqual((await until('exited')).data.result, { kind: 'signaled', signal: 'SIGKILL' });
    });
  }

  it('passes on the text of a fatal error as it is (D2)', async () => {
    await bootTo('starting');
    const error = 'no such "file":\n\\etc\\passwd';
    machine().say({ status: 'fatal', error });
    assert.deepEqual((await until('failed')).data.result, { kind: 'fatal', error });
  });

  it('ends an enclave whose status is not valid, or has no end', async () => {
    for (const line of ['{"status":"fatal","error":"not "escaped""}\n', `{"status":"${'x'.repeat(10_000)}`]) {
      seen = [];
      const { id } = await bootTo('starting');
      machine().say(Buffer.from(line));
      const { result } = (await until('failed')).data;
      assert.equal(result.kind === 'failed' && result.error.code, 'STATUS_INVALID');
      await goneFolder(id);
    }
  });

  it('notices a machine that dies without waiting for its status port (D3)', async () => {
    const { id } = await bootTo('ready');
    const since = performance.now();
    void machine().die();
    const { data } = await until('lost');
    assert.ok(performance.now() - since < limits.statusSilenceMs / 10);
    assert.deepEqual(data.result, {
      kind: 'lost',
      error: { code: 'MACHINE_ENDED', message: 'the machine ended: died' },
    });
    await goneFolder(id);
  });

  it('tells what the kernel said when it panicked under the app', async () => {
    const { id } = await bootTo('ready');
    const text = '[    9.1] Kernel panic - not syncing: System is deadlocked on memory';
    const time = new Date().toISOString();
    await bus.publishLog(id, 'console', { lines: [{ sequence: 1, time, text }] });
    void machine().die('reset');
    const { data } = await until('lost');
    assert.ok(data.result.kind === 'lost');
    const { code, message, remedy } = data.result.error;
    assert.deepEqual(
      [code, message],
      ['KERNEL_PANIC', "the enclave's kernel panicked: System is deadlocked on memory"],
    );
    assert.match(remedy ?? '', /--memory-mb/);
    assert.deepEqual(data.console, [text]);
    await goneFolder(id);
  });

  it('keeps why the app was killed', async () => {
    const { id } = await bootTo('ready');
    const end = { signal: 'SIGKILL', cause: 'out-of-memory', detail: 'the kernel ended process 7 (app)' };
    machine().say({ status: 'signaled', ...end });
    assert.deepEqual((await until('exited')).data.result, { kind: 'signaled', ...end });
    await goneFolder(id);
  });

  it('takes the last word of a machine that powers itself off right after it', async () => {
    await bootTo('ready');
    machine().say({ status: 'exited', code: 0 });
    void machine().die('power-off');
    assert.deepEqual((await until('exited')).data.result, { kind: 'exited', code: 0 });
  });

  it('takes up a status connection that breaks, and gives up on one that stays away', async () => {
    await restartSupervisor({ statusSilenceMs: 200 });
    await bootTo('ready');
    machine().cut();
    machine().say({ status: 'running', phase: 'unhealthy', reason: 'port 8080 is closed' });
    assert.deepEqual((await until('unhealthy')).data, { reason: 'port 8080 is closed' });
    machine().mute();
    const { result } = (await until('lost')).data;
    assert.equal(result.kind === 'lost' && result.error.code, 'STATUS_SILENT');
  });

  it('tells why an app is unhealthy for as long as it is, and that it is ready again', async () => {
    const { id } = await bootTo('ready');
    const told = async (state: string) => {
      for (;;) {
        const record = await bus.enclaves.get(id);
        if (record?.state === state) return record;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    machine().say({ status: 'running', phase: 'unhealthy', reason: 'port 8080: no answer', timings });
    assert.equal((await told('unhealthy')).reason, 'port 8080: no answer');
    machine().say({ status: 'running', phase: 'ready', timings });
    assert.equal((await told('ready')).reason, undefined);
    machine().say({ status: 'running', phase: 'unhealthy', reason: 'again', timings });
    await told('unhealthy');
    machine().say({ status: 'exited', code: 0 });
    await until('exited');
    assert.deepEqual(names().slice(-5), ['ready', 'unhealthy', 'ready', 'unhealthy', 'exited']);
  });

  it('keeps what the enclave says of its clock', async () => {
    const { id } = await bootTo('ready');
    const clock = 'kvm-clock, 6 s behind the NSM';
    machine().say({ status: 'running', phase: 'ready', timings, clock });
    while ((await bus.enclaves.get(id))?.clock !== clock) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(names().at(-1), 'ready', 'it is no news');
  });

  it('boots again once when the kernel hangs', async () => {
    await restartSupervisor({ heartbeatMs: 150 });
    backend.onLaunch = (launched, boot) => {
      if (boot === 2) launched.boots();
    };
    await run();
    await until('booting');
    assert.equal(backend.machines[0]?.killed, true);
    assert.deepEqual(names(), ['requested', 'egress-ready', 'launching', 'booting']);
  });

  it('fails when it hangs again, and when odyn does not come up', async () => {
    await restartSupervisor({ heartbeatMs: 100, statusMs: 100 });
    await run();
    const first = (await until('failed')).data.result;
    assert.equal(first.kind === 'failed' && first.error.code, 'BOOT_TIMEOUT');
    assert.equal(backend.machines.length, 2);
    await goneFolder(seen[0]?.id ?? '');
    seen = [];
    backend.onLaunch = (launched) => launched.boots();
    await run();
    const second = (await until('failed')).data.result;
    assert.equal(second.kind === 'failed' && second.error.code, 'BOOT_TIMEOUT');
  });

  it('fails when the machine ends in its boot', async () => {
    backend.onLaunch = (launched) => void launched.die('reset');
    await run();
    const { result } = (await until('failed')).data;
    assert.deepEqual(result, { kind: 'failed', error: { code: 'MACHINE_ENDED', message: 'the machine ended: reset' } });
  });

  it('starts nothing when the outer-proxy cannot listen or does not answer', async () => {
    proxy = 'failed';
    const { id } = await run();
    const failed = (await until('failed')).data.result;
    assert.equal(failed.kind === 'failed' && failed.error.code, 'PORT_IN_USE');
    await goneFolder(id);
    await restartSupervisor({ proxyMs: 50 });
    proxy = 'silent';
    seen = [];
    await run();
    const silent = (await until('failed')).data.result;
    assert.equal(silent.kind === 'failed' && silent.error.code, 'PROXY_SILENT');
    assert.equal(backend.machines.length, 0);
  });

  it('asks the app to stop, with its grace time', async () => {
    const { id } = await bootTo('ready');
    machine().onControl = () => machine().say({ status: 'signaled', signal: 'SIGTERM' });
    const { enclave } = await supervisor.handlers.stop({ id: 'hello', graceMs: 1234 });
    assert.equal(enclave.id, id);
    assert.deepEqual((await until('exited')).data.result, { kind: 'signaled', signal: 'SIGTERM' });
    assert.deepEqual(machine().controls, [{ command: 'stop', graceMs: 1234 }]);
    assert.equal((await until('stopping')).data.graceMs, 1234);
  });

  it('ends the machine of an app that does not stop', async () => {
    await restartSupervisor({ graceExtraMs: 50 });
    const { id } = await bootTo('ready');
    await supervisor.handlers.stop({ id, graceMs: 10 });
    await supervisor.handlers.stop({ id, graceMs: 100_000 });
    const { detail, ...result } = { detail: '', ...(await until('exited')).data.result };
    assert.deepEqual(result, { kind: 'signaled', signal: 'SIGKILL', cause: 'grace-over' });
    assert.match(detail, /had ended 60 ms after they were asked to: the machine was ended/);
    await goneFolder(id);
    assert.equal(machine().killed, true);
  });

  it('stops an enclave that does not run yet', async () => {
    const { id } = await run();
    await until('launching');
    await supervisor.handlers.stop({ id });
    const { result } = (await until('failed')).data;
    assert.equal(result.kind === 'failed' && result.error.code, 'STOPPED');
    await goneFolder(id);
    assert.ok(backend.machines.every(({ killed }) => killed));
  });

  it('refuses what cannot run before anything starts', async () => {
    await assert.rejects(run({ eif: '/nowhere.eif' }), { code: 'EIF_NOT_FOUND' });
    await assert.rejects(run({ publish: [{ listenPort: 9090, host: '127.0.0.1', port: 0 }] }), {
      code: 'PORT_NOT_IN_MANIFEST',
    });
    const bare = join(folder, 'bare.eif');
    await writeSmallImage(bare, { manifest: '' });
    await assert.rejects(run({ eif: bare }), { code: 'EIF_NO_MANIFEST' });
    await writeSmallImage(bare, { launch: '{"version":2}' });
    await assert.rejects(run({ eif: bare }), { code: 'LAUNCH_INVALID' });
    await assert.rejects(supervisor.handlers.stop({ id: 'e-000000000000' }), { code: 'ENCLAVE_NOT_FOUND' });
    const expired = invalid.cases.find(({ name }) => name === 'signature-certificate-expired');
    await writeFile(bare, Buffer.from(expired?.eif_b64 ?? '', 'base64'));
    await assert.rejects(run({ eif: bare }), { code: 'EIF_SIGNATURE' });
    const { measurements } = await readEif(eif);
    await assert.rejects(
      run({ expect: { ...measurements, PCR2: 'ab'.repeat(48) } }),
      (error: Error & { code: string }) => {
        assert.equal(error.code, 'MEASUREMENTS_DIFFER');
        assert.ok(error.message.includes(measurements.PCR2) && !error.message.includes(measurements.PCR0));
        return true;
      },
    );
    assert.deepEqual(seen, []);
    await run({ expect: measurements });
    await assert.rejects(run(), { code: 'NAME_IN_USE' });
    await run({ name: 'other' });
    assert.deepEqual(
      (await supervisor.handlers.list({})).enclaves.map(({ name }) => name),
      ['hello', 'other'],
    );
  });

  it('publishes each port of the manifest on loopback, or everywhere when told so', async () => {
    assert.deepEqual((await run()).ingress, [{ listenPort: 8080, host: '127.0.0.1', port: 8080 }]);
    const open = await run({ name: 'open', publishAll: true });
    assert.deepEqual(open.ingress, [{ listenPort: 8080, host: '0.0.0.0', port: 8080 }]);
  });

  it('has the peer reported to the ports whose manifest looks at it, and only there', async () => {
    const ports = '\ningress:\n  - listen_port: 1\n  - {listen_port: 2, clients: {deny: [192.0.2.1]}}\n';
    const manifest = `version: v1\nname: hello\ntarget: a:b\nsources: {app: a}${ports}  - {listen_port: 3, proxy_protocol: true}\n`;
    await writeSmallImage(eif, { manifest });
    const reported = ({ ingress }: EnclaveRecord) => ingress.filter(({ reportPeer }) => reportPeer === true);
    const all = await run();
    assert.deepEqual(
      reported(all).map(({ listenPort }) => listenPort),
      [2, 3],
    );
    const publish = [1, 2].map((listenPort) => ({
      listenPort,
      host: '127.0.0.1',
      port: 0,
      reportPeer: listenPort === 1,
    }));
    const chosen = await run({ name: 'chosen', publish });
    assert.deepEqual(
      reported(chosen).map(({ listenPort }) => listenPort),
      [2],
    );
  });

  it('takes up an enclave after a restart', async () => {
    const { id } = await bootTo('ready');
    backend.adoptable = machine();
    await restartSupervisor();
    assert.deepEqual(
      (await supervisor.handlers.list({})).enclaves.map((each) => [each.id, each.state]),
      [[id, 'ready']],
    );
    machine().say({ status: 'exited', code: 5 });
    assert.deepEqual((await until('exited')).data.result, { kind: 'exited', code: 5 });
    await goneFolder(id);
  });

  it('says of an enclave that ended while it was away that it is lost', async () => {
    const { id } = await bootTo('ready');
    await supervisor.close();
    await machine().die();
    supervisor = await startSupervisor();
    const { result } = (await until('lost')).data;
    assert.equal(result.kind === 'lost' && result.error.code, 'SUPERVISOR_AWAY');
    assert.equal((await supervisor.handlers.describe({ id })).enclave.state, 'lost');
  });

  it('goes on without the bus, and tells what happened when it is back', async function () {
    // The client notices after its own time-outs that its consumers are gone
    this.timeout(60_000);
    const { id } = await bootTo('ready');
    await nats.crash();
    machine().say({ status: 'running', phase: 'unhealthy', reason: 'nobody hears this now' });
    machine().say({ status: 'exited', code: 6 });
    await nats.restart();
    assert.deepEqual((await until('exited')).data.result, { kind: 'exited', code: 6 });
    assert.deepEqual(names().slice(-2), ['unhealthy', 'exited']);
    assert.equal((await bus.enclaves.get(id))?.state, 'exited');
    assert.deepEqual((await supervisor.handlers.list({})).enclaves, []);
  });

  it('remembers the last enclaves that ended, and no more', async () => {
    await restartSupervisor({ endedRecords: 2 });
    proxy = 'failed';
    for (const name of ['a', 'b', 'c', 'd']) {
      seen = [];
      const { id } = await run({ name });
      await until('failed');
      await goneFolder(id);
    }
    const kept = async (): Promise<string[]> =>
      (await supervisor.handlers.list({ all: true })).enclaves
        .filter(({ state }) => hasEnded(state))
        .map(({ name }) => name);
    while ((await kept()).length > 2) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual((await kept()).sort(), ['c', 'd']);
  });

  it('keeps what an enclave has sealed for the next of its image, under any name, and for no other', async () => {
    const acme =
      'acme: { domains: [a.example], terms_of_service_agreed: true, kms_key: "arn:aws:kms:us-east-1:111122223333:key/k" }';
    const image = (name: string): Promise<void> =>
      writeSmallImage(eif, {
        manifest: `version: v1\nname: ${name}\ntarget: a:b\nsources: { app: "a:c" }\ningress: [{ listen_port: 443, tls: { certificates: [{ ${acme} }] } }]\n`,
      });
    const boot = async (name: string): Promise<string> => {
      seen = [];
      backend.onLaunch = (launched) => launched.boots();
      const { vsock } = await run({ name });
      await until('booting');
      return vsock.type === 'unix' ? vsock.path : assert.fail('no Unix socket');
    };
    await image('one');
    const [first, second] = [await boot('a'), await boot('b')];
    assert.equal((await askStore(first, { op: 'put', key: 'k', value: 'AAAA', expected: 0 })).result, 'stored');
    assert.equal((await askStore(second, { op: 'get', key: 'k' })).result, 'found');
    await image('two');
    const other = await boot('c');
    assert.equal((await askStore(other, { op: 'get', key: 'k' })).result, 'missing');
    await writeSmallImage(eif);
    await assert.rejects(askStore(await boot('d'), { op: 'get', key: 'k' }), 'an image that needs no store has one');
  });
});
