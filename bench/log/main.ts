// Log lines of one enclave, app → odyn → log-relay → bus and a file, beside others: `node bench/log/main.ts [rounds]`. odyn runs on the
// host, with a Unix socket in the place of the vsock. Counts until the last line is stored, and fails where one is missing. All
// processes share the machine; rounds alternate between the contenders, the first of each is not counted. Prints tables in Markdown.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { summarize } from '../statistics.ts';
import { type Contender, cat, daemon, daemons, type Load, ours, program, type Took } from './contenders.ts';

const LOADS: readonly (Load & { name: string })[] = [
  { name: '100 bytes', lines: 300_000, bytes: 100, streams: 'one' },
  { name: '100 bytes, stdout and stderr in turn', lines: 300_000, bytes: 100, streams: 'two' },
  { name: '1,000 bytes', lines: 60_000, bytes: 1_000, streams: 'one' },
];

const rounds = Number(process.argv[2] ?? 5);
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`rounds is ${process.argv[2]}; it is a whole number from 1`);
mkdirSync(join(import.meta.dirname, 'build'), { recursive: true });
const source = join(import.meta.dirname, 'load.c');
execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', program, source], { stdio: 'inherit' });

const contenders: Contender[] = [];
try {
  contenders.push(await ours('ours, to the bus', { file: false }));
  contenders.push(await ours('ours, to the bus and a file', { file: true }), cat());
  for (const each of daemons) if (each.needs === undefined) contenders.push(await daemon(each));
  const rows = new Map(contenders.map(({ name }) => [name, [] as string[]]));
  for (const load of LOADS) {
    const took = new Map(contenders.map(({ name }) => [name, [] as Took[]]));
    for (let round = 0; round <= rounds; round++) {
      for (const contender of contenders) {
        const one = await contender.run(round === 0 ? { ...load, lines: load.lines / 5 } : load);
        if (round > 0) took.get(contender.name)?.push(one);
      }
      process.stderr.write(`${load.name}: round ${round} of ${rounds}\n`);
    }
    for (const [name, some] of took) {
      const { median, min, max } = summarize(some.map(({ seconds }) => load.lines / seconds / 1000));
      const cpu = summarize(some.map((each) => (each.cpu * 1e6) / load.lines)).median;
      const cost = Number.isNaN(cpu) ? '' : `; ${cpu.toFixed(1)} µs`;
      rows.get(name)?.push(`${median.toFixed(0)} [${min.toFixed(0)} to ${max.toFixed(0)}]${cost}`);
    }
  }
  const heads = LOADS.map(({ name }) => `thousand lines/s of ${name}; CPU a line`);
  process.stdout.write(`| | ${heads.join(' | ')} |\n| --- |${' --- |'.repeat(heads.length)}\n`);
  for (const [name, cells] of rows) process.stdout.write(`| ${name} | ${cells.join(' | ')} |\n`);
  const missing = daemons.filter(({ needs }) => needs !== undefined).map(({ name, needs }) => `${name} (${needs})`);
  if (missing.length > 0) process.stdout.write(`\nNot measured, because not installed: ${missing.join(', ')}\n`);
} finally {
  for (const contender of contenders) await contender[Symbol.asyncDispose]();
}
