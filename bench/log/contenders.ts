import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus } from '@enclaver/bus';
import { NatsProcess } from '../../libs/bus/test/nats-process.ts';
import { enclaveRecord } from '../../services/log-relay/test/records.ts';
import { SERVICE_ENV } from '../../test/stack/service-env.ts';
import { compiled } from '../harness/compiled.ts';

/** What the app writes. */
export interface Load {
  readonly lines: number;
  /** Of a line, with its LF. */
  readonly bytes: number;
  /** To stdout, or in turn to stdout and stderr. */
  readonly streams: 'one' | 'two';
}

/** What may have been taken of a load, in seconds: of the clock, and of processors in all processes but the app. */
export interface Took {
  readonly seconds: number;
  readonly cpu: number;
}

/** A way of log lines under test. */
export interface Contender extends AsyncDisposable {
  readonly name: string;
  run(load: Load): Promise<Took>;
}

const program = compiled('log/load.c');
const TICKS_PER_SECOND = 100;

function cpuOf(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

async function untilSize(file: string, bytes: number): Promise<void> {
  for (let left = 12_000; left > 0; left--) {
    if (existsSync(file) && statSync(file).size >= bytes) return;
    await sleep(5);
  }
  throw new Error(`${file} has ${existsSync(file) ? statSync(file).size : 'no'} bytes after a minute, not ${bytes}`);
}

/** odyn's log path, the log-relay's process and a nats-server of their own; `file`: on to a file, too. */
export async function ours(name: string, { file }: { file: boolean }): Promise<Contender> {
  const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-'));
  const nats = await NatsProcess.start();
  const bus = await Bus.connect({ source: 'bench', credentials: nats.credentials });
  writeFileSync(join(folder, 'bus.json'), JSON.stringify(nats.as('log-relay')), { mode: 0o600 });
  const env = {
    ...process.env,
    ...SERVICE_ENV,
    ENCLAVER_BUS: join(folder, 'bus.json'),
    ENCLAVER_LOG_LEVEL: 'error',
    ...(file ? { ENCLAVER_LOG_SINKS: `file:${folder}/logs?format=text&size=100G&count=1` } : {}),
  };
  const relay = spawn(process.execPath, [join(import.meta.dirname, '../../services/log-relay/src/main.ts')], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  while (!(await bus.services()).includes('log-relay')) await sleep(50);
  let count = 0;
  return {
    name,
    async run({ lines, bytes, streams }) {
      count += 1;
      const path = join(folder, `vsock-${count}`);
      const record = enclaveRecord(count, path, `run-${count}`);
      const words = [program, 'lines', String(lines), String(bytes), streams];
      const inside = spawn(process.execPath, [join(import.meta.dirname, 'inside.ts'), path, ...words], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      await once(inside.stdout, 'data');
      await bus.enclaves.put(record);
      await bus.publishEvent(record.id, 'launching', { enclave: record });
      await sleep(300);
      const events = bus.events({ id: record.id });
      await events.ready;
      const pids = [relay.pid, nats.pid, inside.pid];
      const before = pids.map(cpuOf);
      const begun = performance.now();
      inside.stdin.write('go\n');
      // Its end takes its CPU time along
      const used = [0, 0, 0];
      const watch = setInterval(() => {
        for (const [index, pid] of pids.entries()) {
          if (existsSync(`/proc/${pid}`)) used[index] = cpuOf(pid) - (before[index] ?? 0);
        }
      }, 20);
      for await (const event of events) {
        if (event.name !== 'log-ended') continue;
        const { lost, lines: got } = event.data;
        if (lost > 0 || got !== lines) throw new Error(`${got} lines of ${lines}, ${lost} lost`);
        break;
      }
      const prefix = '2026-01-01T00:00:00.000000Z  stdout| '.length + record.name.length;
      if (file) await untilSize(join(folder, 'logs', `${record.name}.log`), lines * (prefix + bytes));
      const seconds = (performance.now() - begun) / 1000;
      await sleep(50);
      clearInterval(watch);
      return { seconds, cpu: used.reduce((sum, each) => sum + each, 0) };
    },
    async [Symbol.asyncDispose]() {
      relay.kill('SIGTERM');
      await once(relay, 'exit');
      await bus.close();
      await nats[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

/** `cat` into a Unix socket, and from there through `cat` into a file: no line is known, no order of streams, nothing is kept. */
export function cat(): Contender {
  const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-'));
  return {
    name: 'cat through a Unix socket',
    async run({ lines, bytes }) {
      const [socket, file] = [join(folder, 'socket'), join(folder, 'file')];
      const out = spawn('sh', ['-c', `exec ${program} from ${socket} cat > ${file}`], {
        stdio: ['ignore', 'inherit', 'pipe'],
      });
      await once(out.stderr, 'data');
      const begun = performance.now();
      const script = `${program} lines ${lines} ${bytes} one | ${program} to ${socket} cat`;
      execFileSync('sh', ['-c', script]);
      await untilSize(file, lines * bytes);
      const seconds = (performance.now() - begun) / 1000;
      rmSync(socket);
      rmSync(file);
      return { seconds, cpu: Number.NaN };
    },
    async [Symbol.asyncDispose]() {
      rmSync(folder, { recursive: true });
    },
  };
}

export const RSYSLOG = '/usr/sbin/rsyslogd';

/** Debian's syslog daemon: lines through a Unix stream socket into a file, with a time and a name before each. */
export async function rsyslog(): Promise<Contender> {
  const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-'));
  const file = join(folder, 'file');
  writeFileSync(
    join(folder, 'conf'),
    `global(workDirectory="${folder}")
main_queue(queue.size="100000")
module(load="imptcp")
input(type="imptcp" path="${folder}/socket" supportOctetCountedFraming="off")
template(name="line" type="string" string="%timegenerated:::date-rfc3339% bench stdout| %rawmsg%\\n")
action(type="omfile" file="${file}" template="line")
`,
  );
  const child = spawn(RSYSLOG, ['-n', '-f', join(folder, 'conf'), '-i', join(folder, 'pid')], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  while (!existsSync(join(folder, 'socket')) && child.exitCode === null) await sleep(50);
  const linesIn = (): number => Number(execFileSync('sh', ['-c', `wc -l < ${file}`], { encoding: 'utf8' }));
  let written = 0;
  return {
    name: 'rsyslog',
    async run({ lines, bytes }) {
      const before = cpuOf(child.pid);
      const begun = performance.now();
      execFileSync('sh', ['-c', `${program} lines ${lines} ${bytes} one | ${program} to ${folder}/socket cat`]);
      written += lines;
      let seconds = 0;
      for (let size = -1; ; await sleep(5)) {
        const now = existsSync(file) ? statSync(file).size : 0;
        if (now !== size) seconds = (performance.now() - begun) / 1000;
        else if (linesIn() >= written) break;
        else if (performance.now() - begun > 60_000) throw new Error(`rsyslog has ${linesIn()} lines of ${written}`);
        size = now;
      }
      return { seconds, cpu: cpuOf(child.pid) - before };
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
      rmSync(folder, { recursive: true });
    },
  };
}
