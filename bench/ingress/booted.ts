import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { busyboxLayer } from '../../test/images/busybox.ts';
import { writeOciLayout } from '../../test/images/image.ts';
import { tar } from '../../test/images/tar.ts';
import { freePort } from '../../test/stack/free-port.ts';
import { TestStack } from '../../test/stack/stack.ts';
import { compiled } from '../harness/compiled.ts';

/**
 * Requests a second on kept connections through a booted enclave (outer-proxy, vsock, odyn, app), beside a client in the same guest that asks the app directly:
 *
 *   node bench/ingress/booted.ts
 *
 * Where QEMU emulates the processor, what runs in the guest takes tens of times as long as outside. The client inside is emulated, too, and
 * the one outside is not, so that the two are near each other for an emulator's reasons: on hardware look at `main.ts`.
 */

const command = new URL('../../cli/bin/enclaver', import.meta.url).pathname;
const run = promisify(execFile);
const PORT = 8080;
const REQUESTS = 4_000;
const CLIENTS = 16;

const load = (port: number): string[] => ['kept', port, 0, CLIENTS, REQUESTS].map(String);

/** The app: the server, and once the enclave is ready the load by loopback, with what it comes to. */
const APP = [
  `load server ${PORT} & busybox sleep 15`,
  `echo inside $(load ${load(PORT).join(' ')})`,
  'echo inside over; wait',
].join('\n');

const MANIFEST = `version: v1
name: booted
target: bench/booted:enclave
sources: { app: oci:image }
defaults: { cpu_count: 2, memory_mb: 2048 }
ingress: [{ listen_port: ${PORT} }]
`;

const work = await mkdtemp(join(tmpdir(), 'enclaver-bench-'));
const outside = compiled('egress/load.c');
const stack = await TestStack.start();
try {
  const program = join(work, 'load');
  execFileSync('gcc', ['-O2', '-static', '-pthread', '-o', program, join(import.meta.dirname, '../egress/load.c')]);
  await mkdir(join(work, 'image'));
  const layer = await tar([{ name: 'bin/load', mode: 0o755, content: await readFile(program) }]);
  const config = { Env: ['PATH=/bin'], Cmd: ['sh', '-c', APP] };
  await writeOciLayout(join(work, 'image'), [{ image: { layers: [await busyboxLayer(), layer], config } }]);
  const manifest = join(work, 'enclaver.yaml');
  await writeFile(manifest, MANIFEST);
  const eif = join(work, 'booted.eif');
  const env = { ...process.env, ...stack.env };
  await run(command, ['build', '-f', manifest, '--eif-only', eif], { env });
  const port = await freePort();
  const enclave = spawn(command, ['run', eif, '-p', `127.0.0.1:${port}:${PORT}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env,
  });
  const ended = once(enclave, 'exit');
  await new Promise<void>((resolve, reject) => {
    createInterface(enclave.stdout).on('line', (line) => {
      if (line.startsWith('inside ')) process.stdout.write(`${line}\n`);
      if (line === 'inside over') resolve();
    });
    void ended.then(() => reject(new Error('the enclave ended before it was measured')));
  });
  const { stdout } = await run(outside, load(port));
  process.stdout.write(`outside ${stdout}`);
  enclave.kill('SIGTERM');
  await ended;
} finally {
  await stack[Symbol.asyncDispose]();
  await rm(work, { recursive: true });
}
