import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RESULTS_FILE, type Result } from '../results.ts';

/** Runs a part of the checkout at `root`, what it prints going to stderr. Throws if it fails. */
export async function runPart(root: string, name: string, rounds: number): Promise<Result[]> {
  const folder = await mkdtemp(join(tmpdir(), 'enclaver-results-'));
  const file = join(folder, 'results');
  try {
    const child = spawn(process.execPath, [join(root, 'bench', name, 'main.ts'), String(rounds)], {
      stdio: ['ignore', process.stderr, process.stderr],
      env: { ...process.env, [RESULTS_FILE]: file },
    });
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    if (code !== 0) throw new Error(`part ${name} ended with ${signal ?? code}`);
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line) as Result);
  } finally {
    await rm(folder, { recursive: true });
  }
}
