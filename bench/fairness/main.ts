/**
 * What three enclaves keep of their throughput when a fourth one has very many connections, with a group for each enclave (as the
 * outer-proxy has it) and with one for all. One relay on one CPU, everything else on the other; ratios within one run.
 *
 *   node bench/fairness/main.ts [ROUNDS] [HOSTILE CONNECTIONS]      default: 3, 1000
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatSummary, summarize } from '../statistics.ts';

const rounds = Number(process.argv[2] ?? 3);
const hostile = Number(process.argv[3] ?? 1000);
/** As many as a busy client has, and so many bytes that they take a second or so. */
const CONNECTIONS = 8;
const BYTES_EACH = 96 * 1024 ** 2;
const FIRST_PORT = 22_000;

const folder = mkdtempSync(join(tmpdir(), 'enclaver-fairness-'));
const program = join(folder, 'load');
execFileSync('gcc', ['-O2', '-o', program, join(import.meta.dirname, '../relay/load.c')]);
const children = new Set<ChildProcess>();

function start(cpu: number, ...command: string[]): ChildProcess {
  const child = spawn('taskset', ['-c', String(cpu), ...command], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill();
  await once(child, 'exit');
}

/** Bytes per second of one enclave's downloads. */
async function download(port: number): Promise<number> {
  const child = start(0, program, 'down', String(port), String(CONNECTIONS), String(BYTES_EACH));
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (data: string) => {
    text += data;
  });
  await once(child, 'close');
  return Number(text.trim());
}

/** Median of the three, in MB/s, beside a fourth with so many connections. */
async function measure(groups: boolean, connections: number): Promise<number> {
  const relay = start(
    1,
    process.execPath,
    join(import.meta.dirname, 'relay-process.ts'),
    String(FIRST_PORT),
    folder,
    String(groups),
  );
  await once(relay.stdout as NodeJS.ReadableStream, 'data');
  const fourth = start(0, program, 'down', String(FIRST_PORT + 3), String(connections), String(1024 ** 4));
  const found = await Promise.all([0, 1, 2].map((index) => download(FIRST_PORT + index)));
  await end(fourth);
  await end(relay);
  return summarize(found).median / 1e6;
}

try {
  for (let index = 0; index < 4; index++)
    start(0, program, 'server', join(folder, `server-${index}`), String(FIRST_PORT + 100 + index));
  const ratios = { groups: [] as number[], one: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    for (const [name, groups] of [
      ['groups', true],
      ['one', false],
    ] as const) {
      const equal = await measure(groups, CONNECTIONS);
      const beside = await measure(groups, hostile);
      ratios[name].push((beside / equal) * 100);
    }
  }
  process.stdout.write(`kept beside ${hostile} connections, of what is had beside ${CONNECTIONS}:\n`);
  process.stdout.write(`a group for each enclave: ${formatSummary(summarize(ratios.groups), '%')}\n`);
  process.stdout.write(`one group for all:        ${formatSummary(summarize(ratios.one), '%')}\n`);
} finally {
  for (const child of children) child.kill();
  rmSync(folder, { recursive: true, force: true });
}
