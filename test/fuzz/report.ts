import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Outcome } from './engine/run.ts';

const FILE = join(import.meta.dirname, '../../dist/fuzz/report.csv');
const HEADER = 'revision,target,asked_seconds,seconds,inputs,covered,news,outcome';

/** What is fuzzed: the commit, and whether anything was changed since. */
export function revision(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' });
  const changed = git('status', '--porcelain', '--untracked-files=no').trim() !== '';
  return `${git('rev-parse', '--short=12', 'HEAD').trim()}${changed ? '+' : ''}`;
}

/** A line for a target that has had its time, or has failed. */
export function report(revision: string, target: string, asked: number, outcome: Outcome): void {
  const { seconds, inputs, covered, news, failure } = outcome;
  if (!existsSync(FILE)) {
    mkdirSync(dirname(FILE), { recursive: true });
    writeFileSync(FILE, `${HEADER}\n`);
  }
  const end = failure === undefined ? 'held' : 'failed';
  appendFileSync(FILE, `${[revision, target, asked, seconds, inputs, covered, news, end].join()}\n`);
}

/** Targets that have held for so long at this revision already. */
export function haveHeld(revision: string, seconds: number): Set<string> {
  const lines = existsSync(FILE) ? readFileSync(FILE, 'utf8').split('\n') : [];
  const rows = lines.map((line) => line.split(','));
  const held = rows.filter(
    ([at, , asked, , , , , end]) => at === revision && Number(asked) >= seconds && end === 'held',
  );
  return new Set(held.map(([, target = '']) => target));
}
