// Memory of what runs outside an enclave and of odyn: idle, and with 1,000 and 10,000 connections that say nothing, beside haproxy:
// `node bench/memory/main.ts [rounds]`. Nothing is booted: odyn runs on this machine. Prints a table in Markdown to stdout.
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ProxyProcesses } from '../../services/outer-proxy/test/proxy-processes.ts';
import { SERVICE_ENV } from '../../test/stack/service-env.ts';
import { TestStack } from '../../test/stack/stack.ts';
import { compiled } from '../harness/compiled.ts';
import { MOST_CONNECTIONS } from '../harness/connections.ts';
import { answers, Pinned, ready } from '../harness/pinned.ts';
import { anonymousBytes, residentBytes } from '../harness/process-cost.ts';
import { summaryTable } from '../harness/table.ts';
import { OUTSIDE, SETTLE_MS, stackMemory } from '../lifecycle/process-memory.ts';
import { NativeOdyn } from '../odyn/native-odyn.ts';
import { peers } from '../relay/peers.ts';
import { type Goal, publish, type Result, roundsOf } from '../results.ts';

const [SERVER_PORT, RELAY_PORT] = [22_600, 22_601];
const OPEN = [0, 1_000, MOST_CONNECTIONS] as const;
/** The relay has all connections within that. */
const OPEN_MS = 2_000;
const MIB = 2 ** 20;

const rounds = roundsOf(process.argv[2], 3);
const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-'));
const program = compiled('relay/load.c');
const processes = new Pinned();
const results = new Map<string, Result>();

function add(metric: string, unit: string, who: string, value: number, goal?: Goal): void {
  const result = results.get(metric) ?? { metric, unit, better: 'less', samples: {}, ...(goal && { goal }) };
  const samples = { ...result.samples, [who]: [...(result.samples[who] ?? []), value] };
  results.set(metric, { ...result, samples });
}

/** Opens so many connections through it, which stay. */
type Opener = (count: number) => Promise<ChildProcess>;

const overTcp =
  (port: number): Opener =>
  (count) =>
    ready(processes.start([program, 'idle', String(port), String(count)]));

/** Idle, and with ever more connections. `name`: whose rows those are. */
async function measure(name: string, who: string, pid: number, open: Opener): Promise<void> {
  const holders: ChildProcess[] = [];
  await sleep(SETTLE_MS);
  const begun = anonymousBytes(pid);
  let before = 0;
  for (const count of OPEN) {
    if (count > before) {
      holders.push(await open(count - before));
      await sleep(OPEN_MS);
    }
    before = count;
    const state = count === 0 ? 'idle' : `${count} idle connections`;
    const inEnclave = name === 'odyn' && who === 'ours';
    const [resident, anonymous] = [residentBytes(pid) / MIB, anonymousBytes(pid) / MIB];
    add(`${name}, ${state}`, 'MiB resident', who, resident, inEnclave ? { value: 60 } : undefined);
    add(`${name}, ${state}: anonymous`, 'MiB', who, anonymous, inEnclave ? { value: 25 } : undefined);
  }
  // Less than nothing where V8 has given back more meanwhile
  const bytes = Math.max(0, anonymousBytes(pid) - begun) / MOST_CONNECTIONS;
  add(`${name}: one of ${MOST_CONNECTIONS} idle connections`, 'bytes', who, bytes, { value: 256 });
  for (const holder of holders) await processes.end(holder);
}

async function measureStack(): Promise<void> {
  await using stack = await TestStack.start();
  await sleep(SETTLE_MS);
  const outside = (await stackMemory(stack.dir)).filter(({ name }) => OUTSIDE.includes(name));
  const all = outside.reduce((sum, { pss }) => sum + pss, 0);
  add('nats-server and the four services, idle', 'MiB proportional', 'ours', all, { value: 200 });
  for (const { name, anonymous } of outside) add(`${name} of an idle stack`, 'MiB anonymous', 'ours', anonymous);
}

async function measureProxy(): Promise<void> {
  await using proxies = await ProxyProcesses.make();
  proxies.guest.on(8080, () => undefined);
  const { process: proxy } = await proxies.start(SERVICE_ENV);
  const { port } = await proxies.publish();
  await measure('outer-proxy', 'ours', proxy.pid as number, overTcp(port));
}

async function measureOdyn(odyn: NativeOdyn): Promise<void> {
  const { holder, pid } = await odyn.start();
  const relay = processes.start([
    ...[process.execPath, join(import.meta.dirname, '../relay/relay-process.ts'), 'native', String(RELAY_PORT)],
    odyn.appSocket,
  ]);
  await ready(relay);
  await measure('odyn', 'ours', pid, overTcp(RELAY_PORT));
  await processes.end(relay);
  await odyn.end(holder);
}

async function measureHaproxy(target: string): Promise<void> {
  const haproxy = peers.find(({ name }) => name.startsWith('HAProxy'));
  if (haproxy === undefined || haproxy.needs !== undefined) return;
  const child = processes.start(haproxy.command(RELAY_PORT, target, folder));
  await answers(RELAY_PORT);
  await measure('outer-proxy', haproxy.name, child.pid as number, overTcp(RELAY_PORT));
  await processes.end(child);
}

try {
  const target = join(folder, 'server.sock');
  await ready(processes.start([program, 'server', target, String(SERVER_PORT)]));
  await using odyn = await NativeOdyn.make();
  for (let round = 1; round <= rounds; round++) {
    await measureStack();
    await measureProxy();
    await measureHaproxy(target);
    await measureOdyn(odyn);
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  publish([...results.values()]);
  process.stdout.write(`${summaryTable(new Map([['memory', [...results.values()]]]))}\n`);
} finally {
  processes[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
}
