import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm, statfs } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { SERVICE_ENV } from '../../test/stack/service-env.ts';
import { publish, roundsOf } from '../results.ts';
import { summarize } from '../statistics.ts';
import type { BuildFigures } from './build-process.ts';
import { type ImagePlan, mixedImage, smallFilesImage, writeImage } from './image.ts';

/**
 * Time and peak memory of a build to an EIF against the size of the image, beside the floor: `cat` of the same bytes to a
 * file (layers, kernel, ramdisk 0) and `sha384sum` of it. Floor and build take turns, on the same disk.
 *
 *   node bench/build/main.ts [--quick] [RUNS]      default: 5; --quick leaves out images of 1 GB and more
 *
 * ENCLAVER_BENCH_DIR: folder for its files, up to four times the largest image; default: that for temporary files.
 */

const { values, positionals } = parseArgs({ options: { quick: { type: 'boolean' } }, allowPositionals: true });
const runs = roundsOf(positionals[0], 5);
const run = promisify(execFile);
const runtime = new URL('../../dist/runtime', import.meta.url).pathname;
const buildProcess = new URL('./build-process.ts', import.meta.url).pathname;
const env = { ...SERVICE_ENV, ...process.env };
const runtimeFiles = ['kernel', 'ramdisk0.cpio'].map((name) => join(runtime, 'x86_64', name));

const MB = 1_000_000;
const GB = 1000 * MB;
const cases: { name: string; bytes: number; plan: ImagePlan }[] = [10 * MB, 100 * MB, GB, 4 * GB].map((bytes) => ({
  name: bytes < GB ? `${bytes / MB} MB` : `${bytes / GB} GB`,
  bytes,
  plan: mixedImage(bytes),
}));
cases.push({ name: '100,000 files', bytes: 200 * MB, plan: smallFilesImage(100_000) });

const parent = process.env.ENCLAVER_BENCH_DIR ?? tmpdir();
const chosen = cases.filter(({ bytes }) => values.quick !== true || bytes < GB);
await checkSpace(parent, 4 * Math.max(...chosen.map(({ bytes }) => bytes)) + GB);

process.stdout.write(
  `${cpus()[0]?.model}, ${cpus().length} CPUs, Node ${process.version}; medians of ${runs} [range]\n`,
);
row('image', 'EIF MB', 'floor s', 'build s', 'build / floor', 'CPU s', 'peak MiB');
for (const { name, plan } of chosen) await measure(name, plan);

async function measure(name: string, plan: ImagePlan): Promise<void> {
  const folder = await mkdtemp(join(parent, 'enclaver-bench-'));
  try {
    const layers = await writeImage(join(folder, 'image'), plan);
    const floors: number[] = [];
    const builds: BuildFigures[] = [];
    for (let n = 0; n < runs; n += 1) {
      floors.push(await floor([...layers, ...runtimeFiles], join(folder, 'copy')));
      builds.push(await build(folder));
    }
    publish([
      {
        metric: `EIF of ${name}`,
        unit: 'ms',
        better: 'less',
        samples: { ours: builds.map(({ ms }) => ms), 'cat and sha384sum': floors },
        goal: { ratio: 0.5 },
      },
      {
        metric: `peak memory, ${name}`,
        unit: 'MiB',
        better: 'less',
        samples: { ours: builds.map(({ peakMib }) => peakMib) },
        goal: { value: 300 },
      },
    ]);
    const ratios = builds.map(({ ms }, n) => ms / (floors[n] ?? Number.NaN));
    row(
      name,
      ((builds[0]?.eifBytes ?? 0) / MB).toFixed(0),
      formatRange(floors.map((ms) => ms / 1000)),
      formatRange(builds.map(({ ms }) => ms / 1000)),
      formatRange(ratios),
      formatRange(builds.map(({ cpuMs }) => cpuMs / 1000)),
      formatRange(
        builds.map(({ peakMib }) => peakMib),
        0,
      ),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Milliseconds. */
async function floor(files: readonly string[], copy: string): Promise<number> {
  await run('sync');
  await using out = await open(copy, 'wx');
  const start = performance.now();
  const cat = spawn('cat', files, { stdio: ['ignore', out.fd, 'inherit'] });
  const [code] = await once(cat, 'exit');
  if (code !== 0) throw new Error(`cat ended with ${code}`);
  await run('sha384sum', [copy]);
  const ms = performance.now() - start;
  await rm(copy);
  return ms;
}

async function build(folder: string): Promise<BuildFigures> {
  await run('sync');
  const { stdout } = await run(process.execPath, [buildProcess, folder, runtime], { env });
  await rm(join(folder, 'app.eif'));
  return JSON.parse(stdout) as BuildFigures;
}

async function checkSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= bytes) return;
  throw new Error(`${folder} has ${bavail * bsize} bytes free; ${bytes} are needed: set ENCLAVER_BENCH_DIR`);
}

function formatRange(values: readonly number[], digits = 2): string {
  const { median, min, max } = summarize(values);
  return `${median.toFixed(digits)} [${min.toFixed(digits)} to ${max.toFixed(digits)}]`;
}

function row(...cells: string[]): void {
  process.stdout.write(`| ${cells.join(' | ')} |\n`);
}
