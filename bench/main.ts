/**
 * Benchmarks beside what one would take instead, on this machine; `--help` says how. Progress goes to stderr, tables to stdout.
 */
import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Checkout } from './harness/checkout.ts';
import { comparePart, comparisonTable } from './harness/compare.ts';
import { writePage } from './harness/page.ts';
import { type Part, parts } from './harness/parts.ts';
import { runPart } from './harness/run-part.ts';
import { summaryTable } from './harness/table.ts';
import type { Result } from './results.ts';

const HELP = `npm run bench -- [PART…] [--quick]              the table of all parts, or of those named
npm run bench -- [PART…] --write                also into docs/performance.md, with its plot; on a quiet machine
npm run bench -- [PART…] --against REV [--pairs N]
                                                each part here and in REV in turns (default 5 pairs); ends with 1 where here is worse

${parts.map(({ name, what }) => `  ${name.padEnd(10)} ${what}`).join('\n')}
`;
const ROOT = join(import.meta.dirname, '..');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    against: { type: 'string' },
    pairs: { type: 'string', default: '5' },
    help: { type: 'boolean', default: false },
  },
});

function chosenParts(names: readonly string[]): readonly Part[] {
  const unknown = names.filter((name) => !parts.some((part) => part.name === name));
  if (unknown.length > 0)
    throw new Error(`no part is named ${unknown.join(', ')}; there are ${parts.map(({ name }) => name).join(', ')}`);
  return names.length === 0 ? parts : parts.filter(({ name }) => names.includes(name));
}

/** Where the figures are from, since they hold there. */
function machine(): string {
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  const revision = execFileSync('git', ['-C', ROOT, 'describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
  return `${cpus()[0]?.model}, ${cpus().length} CPUs, ${memory} GiB, Linux ${release()}, Node ${process.version}, revision ${revision}`;
}

async function measureAll(chosen: readonly Part[], quick: boolean): Promise<Map<string, Result[]>> {
  const results = new Map<string, Result[]>();
  for (const { name, rounds, quickRounds } of chosen) {
    process.stderr.write(`\n${name}\n`);
    results.set(name, await runPart(ROOT, name, quick ? quickRounds : rounds));
  }
  return results;
}

async function against(chosen: readonly Part[], revision: string, pairs: number): Promise<boolean> {
  await using other = await Checkout.of(ROOT, revision);
  let worse = false;
  for (const part of chosen) {
    const all = await comparePart(ROOT, other.root, part, pairs);
    process.stdout.write(`${comparisonTable(part.name, other.commit.slice(0, 12), all)}\n\n`);
    worse ||= all.some(({ verdict }) => verdict === 'worse');
  }
  return worse;
}

try {
  const chosen = chosenParts(positionals);
  const pairs = Number(values.pairs);
  if (!Number.isInteger(pairs) || pairs < 1) throw new Error(`--pairs is ${values.pairs}; it is a whole number from 1`);
  if (values.write && values.quick) throw new Error('--write takes all rounds; leave --quick out');
  if (values.help) process.stdout.write(HELP);
  else if (values.against !== undefined) process.exitCode = (await against(chosen, values.against, pairs)) ? 1 : 0;
  else {
    const results = await measureAll(chosen, values.quick);
    process.stdout.write(`${machine()}\n\n${summaryTable(results)}\n`);
    if (values.write) writePage(join(ROOT, 'docs'), machine(), results);
  }
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 2;
}
