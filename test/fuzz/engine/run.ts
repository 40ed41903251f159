import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { FuzzTarget } from '../target.ts';
import { readCorpus, type TargetFile, writeCorpus } from '../targets.ts';
import { type Built, buildC, buildScript } from './build.ts';

const work = join(import.meta.dirname, '../../../dist/fuzz');

/** Larger inputs are slow to try and seldom reach more. */
const INPUT_MAX = 16_384;
/** What the repository keeps of each target: the smallest of those inputs that together cover all there is. */
const KEPT = { bytes: 2048, inputs: 40 };
const MEMORY_MB = 2048;

export interface Outcome {
  readonly seconds: number;
  /** Inputs that were tried. */
  readonly inputs: number;
  /** What they covered, in libFuzzer's features: counted places, and how often. */
  readonly covered: number;
  /** Inputs that reached something that none had reached before. */
  readonly news: number;
  /** What a failing input caused, and where it lies. */
  readonly failure?: string;
}

/** Builds a target and runs libFuzzer on it, from its seeds and its corpus; with `keep`, the corpus takes what is new. */
export async function runFuzzer(
  target: TargetFile,
  { args, keep = false }: { args: readonly string[]; keep?: boolean },
): Promise<Outcome> {
  const folder = join(work, target.name);
  const built = await (target.language === 'c' ? buildC(target.path, folder) : buildScript(target.path, folder));
  const seeds = fill(join(folder, 'seeds'), await seedsOf(target));
  const corpus = fill(join(folder, 'corpus'), readCorpus(target.name));
  // What earlier runs of this checkout have found is gone on from
  const [found = '', crashes = ''] = ['found', 'crashes'].map((name) => join(folder, name));
  for (const each of [found, crashes]) mkdirSync(each, { recursive: true });
  const common = [`-rss_limit_mb=${MEMORY_MB}`, '-print_final_stats=1', `-artifact_prefix=${crashes}/`];
  const options = [...common, `-dict=${built.dictionary}`, `-max_len=${INPUT_MAX}`, ...args];
  const begun = performance.now();
  const { code, output } = await run(built, [...options, found, corpus, seeds]);
  const figures = { seconds: Math.round((performance.now() - begun) / 1000), ...figuresOf(output) };
  if (code !== 0) return { ...figures, failure: failureOf(output) };
  if (keep) {
    const merged = fill(join(folder, 'merged'), []);
    await run(built, [...common, '-set_cover_merge=1', `-max_len=${KEPT.bytes}`, merged, corpus, seeds, found]);
    const known = new Set(readdirSync(seeds));
    const news = readdirSync(merged).filter((name) => !known.has(name));
    const inputs = news.map((name) => readFileSync(join(merged, name))).sort((a, b) => a.length - b.length);
    writeCorpus(target.name, inputs.slice(0, KEPT.inputs));
  }
  return figures;
}

async function seedsOf({ language, path }: TargetFile): Promise<readonly Buffer[]> {
  if (language === 'c') return [];
  const { seeds } = (await import(path)) as FuzzTarget;
  return seeds.map((seed) => Buffer.from(seed));
}

/** Makes a folder that holds these inputs and nothing else, named by their hash as libFuzzer names its own. */
function fill(folder: string, inputs: readonly Buffer[]): string {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const input of inputs) writeFileSync(join(folder, createHash('sha1').update(input).digest('hex')), input);
  return folder;
}

async function run({ program }: Built, args: readonly string[]): Promise<{ code: number | null; output: string }> {
  // By a process between: one that is started takes over the peak memory of whoever starts it, and libFuzzer goes by that
  const child = spawn('sh', ['-c', '"$0" "$@"; exit $?', program, ...args], { stdio: ['ignore', 'inherit', 'pipe'] });
  const [output, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
  return { code, output };
}

function figuresOf(output: string): { inputs: number; covered: number; news: number } {
  const last = (pattern: RegExp): number => Number([...output.matchAll(pattern)].at(-1)?.[1] ?? 0);
  return {
    inputs: last(/stat::number_of_executed_units: (\d+)/g),
    covered: last(/ ft: (\d+)/g),
    news: last(/stat::new_units_added: +(\d+)/g),
  };
}

function failureOf(output: string): string {
  const lines = output.split('\n');
  const at = lines.findIndex((line) => /ERROR: |runtime error:|takes longer|Error/.test(line));
  return lines.slice(Math.max(0, at - 2)).join('\n');
}
