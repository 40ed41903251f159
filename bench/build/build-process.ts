import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { buildEnclave } from '../../services/builder/src/build.ts';

/**
 * One build in a process of its own, whose memory is then the build's. Arguments: the folder with the image `image`, which
 * takes work files and `app.eif`; the folder of the runtimes. Writes one `BuildFigures` as JSON.
 */

export interface BuildFigures {
  /** From the request to the finished EIF. */
  ms: number;
  /** Of processor time, all threads, start of Node included. */
  cpuMs: number;
  /** Largest resident size that the process had, MiB. */
  peakMib: number;
  eifBytes: number;
}

const [folder = '', runtime = ''] = process.argv.slice(2);
const eif = join(folder, 'app.eif');
const start = performance.now();
await buildEnclave({
  manifest: 'version: v1\nname: bench\ntarget: bench/build:enclave\nsources:\n  app: oci:image\n',
  manifestFile: 'enclaver.yaml',
  contextDir: folder,
  eifOnly: eif,
  dataDir: join(folder, 'data'),
  runtime,
});
const ms = performance.now() - start;
const { user, system } = process.cpuUsage();
const peak = /^VmHWM:\s+(\d+) kB/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1];
const figures: BuildFigures = {
  ms,
  cpuMs: (user + system) / 1000,
  peakMib: Number(peak) / 1024,
  eifBytes: (await stat(eif)).size,
};
process.stdout.write(`${JSON.stringify(figures)}\n`);
