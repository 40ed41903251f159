import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { freePort } from '../../test/stack/free-port.ts';
import { command, runEnclave, say } from '../show.ts';
import { makeHelloImage } from './make-image.ts';

/** The one target that hello's manifest allows: port 9080 of the parent. */
const ALLOWED_PORT = 9080;
const EXIT_CODE = 7;

async function show(url: string, options?: RequestInit): Promise<void> {
  const response = await fetch(url, options);
  process.stdout.write(`${options?.method ?? 'GET'} ${url}\n${response.status} ${(await response.text()).trimEnd()}\n`);
}

/**
 * An ordinary container image in, an enclave image out, booted, reached through its ingress port, tried at its egress
 * policy, stopped. Gives whether the app's exit code came back.
 */
export async function helloDemo(work: string): Promise<boolean> {
  const target = createServer((request, response) => response.end(`the allowed target was asked for ${request.url}\n`));
  target.listen(ALLOWED_PORT, '127.0.0.1');
  await once(target, 'listening');
  try {
    say('an ordinary container image: examples/hello');
    await makeHelloImage(join(import.meta.dirname, 'image'));

    say('enclaver build: the image becomes an enclave image');
    const eif = join(work, 'hello.eif');
    const manifest = join(import.meta.dirname, 'enclaver.yaml');
    process.stdout.write(await command('build', '-f', manifest, '--eif-only', eif));

    say('enclaver run: boots it in QEMU; lifecycle events and log lines as they come');
    const port = await freePort();
    const enclave = await runEnclave(eif, { outside: port, inside: 8080 });
    if (enclave.ready) {
      const app = `http://127.0.0.1:${port}`;
      say('a request through ingress, and the answer of the app');
      await show(`${app}/`);

      say('egress: the one target that the manifest allows');
      await show(`${app}/fetch?url=${encodeURIComponent(`http://host:${ALLOWED_PORT}/hello`)}`);

      say('egress: anything else is refused by the policy inside the enclave');
      await show(`${app}/fetch?url=${encodeURIComponent('http://example.com/')}`);

      say(`the app ends with code ${EXIT_CODE}`);
      await show(`${app}/stop?code=${EXIT_CODE}`, { method: 'POST' });
    }
    const code = await enclave.code;
    say(`exit code of enclaver run: ${code}`);
    return code === EXIT_CODE;
  } finally {
    target.close();
  }
}
