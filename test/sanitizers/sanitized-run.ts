import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sanitizer } from '../../scripts/native-addon.ts';

const root = join(import.meta.dirname, '../..');
const preload = join(import.meta.dirname, 'preload.mjs');

export interface SanitizedRun {
  /** Exit code of the process; null where a signal ended it. */
  readonly code: number | null;
  /** What it said, stdout and stderr together. */
  readonly output: string;
  /** What the sanitizers found, in this process and in those that it started. */
  readonly faults: readonly string[];
  /** Memory that an addon took and nobody can reach any more. Node leaves some of its own at its end, which does not count. */
  readonly leaks: readonly string[];
}

interface Kind {
  /** Of the addons that are built with it. */
  readonly suffix: string;
  readonly library: string;
  /** @param reports where it writes what it finds, with the number of the process behind it */
  environment(reports: string): Readonly<Record<string, string>>;
}

const KINDS = {
  address: {
    suffix: 'asan',
    library: 'libasan.so',
    environment: (reports) => ({
      // The report of leaks must not become the exit code: most of it is Node's
      ASAN_OPTIONS: `log_path=${reports}:abort_on_error=1:detect_stack_use_after_return=1:strict_string_checks=1`,
      LSAN_OPTIONS: 'exitcode=0:print_suppressions=0',
      UBSAN_OPTIONS: 'print_stacktrace=1',
    }),
  },
  thread: {
    suffix: 'tsan',
    library: 'libtsan.so',
    // Node itself is not built with it, so that its own memory and locks would be taken for races
    environment: (reports) => ({ TSAN_OPTIONS: `log_path=${reports}:exitcode=66:ignore_noninstrumented_modules=1` }),
  },
} as const satisfies Record<Sanitizer, Kind>;

/** Runs Node with these arguments and the addons as built with a sanitizer, from the root of the checkout. */
export async function runSanitized(args: readonly string[], sanitizer: Sanitizer = 'address'): Promise<SanitizedRun> {
  const folder = await mkdtemp(join(tmpdir(), 'sanitizers-'));
  const { suffix, library, environment } = KINDS[sanitizer];
  const env = {
    ...process.env,
    LD_PRELOAD: execFileSync('gcc', [`-print-file-name=${library}`], { encoding: 'utf8' }).trim(),
    NODE_OPTIONS: `--import=${preload}`,
    SANITIZED: suffix,
    ...environment(join(folder, 'report')),
  };
  try {
    const run = await new Promise<{ code: number | null; output: string }>((resolve) => {
      const child = execFile(process.execPath, args, { cwd: root, env, maxBuffer: 2 ** 24 }, (_, stdout, stderr) => {
        resolve({ code: child.exitCode, output: stdout + stderr });
      });
    });
    const files = (await readdir(folder)).map((name) => readFile(join(folder, name), 'utf8'));
    const reports = await Promise.all(files);
    return {
      ...run,
      // UBSan writes to stderr, also of a process whose output a test then shows
      faults: [...reports, run.output].filter((text) =>
        /ERROR: AddressSanitizer|WARNING: ThreadSanitizer|: runtime error: /.test(text),
      ),
      leaks: reports.flatMap((text) => text.split('\n\n')).filter(isOurs),
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * Whether the function that asked for the memory is in an addon: the frame after the allocator's own is in a source of
 * this checkout, where Node's are `../src` and `../deps`.
 */
function isOurs(paragraph: string): boolean {
  return /leak of [^\n]*\n +#0 [^\n]*\n +#1 [^\n]* (libs|odyn|services|test)\/[^\n]*\.c:\d/.test(paragraph);
}
