import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { makeHelloImage } from './hello/make-image.ts';

/**
 * The main job from end to end, as a user would do it: an ordinary container image in, an enclave image out, booted,
 * reached through its ingress port, tried at its egress policy, stopped. Uses the `enclaver` command and nothing of its
 * inside.
 */

const folder = new URL('./hello/', import.meta.url).pathname;
const enclaver = new URL('../cli/bin/enclaver', import.meta.url).pathname;
/** The one target that hello's manifest allows: port 9080 of the parent. */
const ALLOWED_PORT = 9080;
const startedAt = performance.now();

function say(text: string): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`\n== ${text}  [${seconds} s]\n`);
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

async function buildImage(eif: string): Promise<void> {
  const manifest = join(folder, 'enclaver.yaml');
  const build = spawn(enclaver, ['build', '-f', manifest, '--eif-only', eif], { stdio: 'inherit' });
  const [code] = await once(build, 'exit');
  if (code !== 0) throw new Error(`enclaver build ended with code ${code}`);
}

async function show(url: string, options?: RequestInit): Promise<void> {
  const response = await fetch(url, options);
  process.stdout.write(`${options?.method ?? 'GET'} ${url}\n${response.status} ${(await response.text()).trimEnd()}\n`);
}

const work = await mkdtemp(join(tmpdir(), 'enclaver-demo-'));
const target = createHttpServer((request, response) =>
  response.end(`the allowed target was asked for ${request.url}\n`),
);
try {
  target.listen(ALLOWED_PORT, '127.0.0.1');
  await once(target, 'listening');

  say('an ordinary container image: examples/hello');
  await makeHelloImage(join(folder, 'image'));

  say('enclaver build: the image becomes an enclave image');
  const eif = join(work, 'hello.eif');
  await buildImage(eif);

  say('enclaver run: boots it in QEMU; lifecycle events and log lines as they come');
  const port = await freePort();
  const run = spawn(enclaver, ['run', eif, '-p', `127.0.0.1:${port}:8080`], { stdio: ['ignore', 'inherit', 'pipe'] });
  const ended = once(run, 'exit');
  const ready = new Promise<boolean>((resolve) => {
    createInterface(run.stderr).on('line', (line) => {
      process.stdout.write(`${line}\n`);
      if (/ e-[0-9a-f]+ ready/.test(line)) resolve(true);
    });
    void ended.then(() => resolve(false));
  });
  if (await ready) {
    const app = `http://127.0.0.1:${port}`;
    say('a request through ingress, and the answer of the app');
    await show(`${app}/`);

    say('egress: the one target that the manifest allows');
    await show(`${app}/fetch?url=${encodeURIComponent(`http://host:${ALLOWED_PORT}/hello`)}`);

    say('egress: anything else is refused by the policy inside the enclave');
    await show(`${app}/fetch?url=${encodeURIComponent('http://example.com/')}`);

    say('the app ends with code 7');
    await show(`${app}/stop?code=7`, { method: 'POST' });
  }
  const [code] = await ended;
  say(`exit code of enclaver run: ${code}`);
  process.exitCode = code === 7 ? 0 : 1;
} finally {
  target.close();
  await rm(work, { recursive: true });
}
