import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus, type BusError } from '@enclaver/bus';
import { NatsProcess } from '../../../libs/bus/test/nats-process.ts';

const main = new URL('../src/main.ts', import.meta.url).pathname;

describe('one supervisor at a time', () => {
  let nats: NatsProcess;
  let folder: string;
  const started: ChildProcess[] = [];
  const buses: Bus[] = [];

  before(async () => {
    nats = await NatsProcess.start();
    folder = await mkdtemp(join(tmpdir(), 'enclaver-lease-'));
    await writeFile(join(folder, 'bus.json'), JSON.stringify(nats.credentials));
  });

  after(async () => {
    for (const child of started) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await nats[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  afterEach(async () => {
    for (const bus of buses.splice(0)) await bus.close();
  });

  async function connect(): Promise<Bus> {
    const bus = await Bus.connect({ source: 'test', credentials: nats.credentials });
    buses.push(bus);
    return bus;
  }

  /** A supervisor as a process; resolves with what it has logged once it serves or has ended. */
  async function start(): Promise<{ child: ChildProcess; log: string }> {
    const env = {
      ...process.env,
      ENCLAVER_BUS: join(folder, 'bus.json'),
      ENCLAVER_RUN_DIR: join(folder, 'run'),
      ENCLAVER_NSM_DIR: join(folder, 'nsm'),
      ENCLAVER_BACKEND: 'qemu',
    };
    const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    started.push(child);
    let log = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
    const exited = once(child, 'close');
    while (!log.includes('service started') && child.exitCode === null) await sleep(10);
    if (child.exitCode !== null) await exited;
    return { child, log };
  }

  it('refuses a second process, which the first gives way to when it is stopped or killed', async () => {
    const first = await start();
    const second = await start();
    assert.equal(second.child.exitCode, 1);
    assert.match(second.log, /"code":"LEASE_HELD".*"remedy":"stop that one first/);
    assert.match(second.log, new RegExp(`process ${first.child.pid} of `));
    first.child.kill('SIGKILL');
    await once(first.child, 'close');
    const third = await start();
    assert.match(third.log, /service started/);
    third.child.kill('SIGTERM');
    await once(third.child, 'close');
    const { child, log } = await start();
    assert.match(log, /service started/);
    child.kill('SIGTERM');
    await once(child, 'close');
  });

  const never = {
    onLost: (error: BusError) => {
      throw error;
    },
  };

  it('keeps what it holds for as long as it renews it, whatever the clock says', async () => {
    const [holder, other] = [await connect(), await connect()];
    const lease = await holder.lease('clock', { leaseMs: 3_000, ...never });
    const { now } = Date;
    for (const jump of [-86_400_000, 86_400_000]) {
      // Further with each look
      let looks = 0;
      Date.now = () => now() + looks++ * jump;
      try {
        await assert.rejects(other.lease('clock', { leaseMs: 3_000, ...never }), { code: 'LEASE_HELD' });
      } finally {
        Date.now = now;
      }
    }
    await lease.release();
    await (await other.lease('clock', { leaseMs: 60_000, ...never })).release();
  });

  it('goes to another at once when its holder ends in another container that shares the folder', async () => {
    const args = [join(import.meta.dirname, 'hold-lease.ts'), join(folder, 'bus.json'), join(folder, 'run')];
    // Its process number says nothing outside
    const holder = spawn('unshare', ['--pid', '--fork', '--kill-child', process.execPath, ...args], { stdio: 'pipe' });
    started.push(holder);
    await once(holder.stdout, 'data');
    const bus = await connect();
    const options = { leaseMs: 30_000, folder: join(folder, 'run'), ...never };
    const [first] = await Promise.all([bus.lease('elsewhere', options), sleep(200).then(() => holder.kill('SIGKILL'))]);
    await first.release();
  });

  it('goes to another after a silence of its holder, who is told so when it is back', async () => {
    const [holder, other] = [await connect(), await connect()];
    const lost = Promise.withResolvers<BusError>();
    // Renews far too seldom for what the other one expects
    await holder.lease('silent', { leaseMs: 2_400, onLost: lost.resolve });
    const taken = await other.lease('silent', { leaseMs: 100, ...never });
    assert.equal((await lost.promise).code, 'LEASE_LOST');
    await taken.release();
  });

  it('is not lost to a bus that was away, and not taken by who could not see it', async function () {
    this.timeout(30_000);
    const [holder, other] = [await connect(), await connect()];
    const lease = await holder.lease('away', { leaseMs: 1_000, ...never });
    const refused = assert.rejects(other.lease('away', { leaseMs: 1_000, ...never }), { code: 'LEASE_HELD' });
    await sleep(150);
    await nats.crash();
    await sleep(1_500);
    await nats.restart();
    await refused;
    await lease.release();
  });
});
