import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { busyboxLayout } from '../../test/images/busybox.ts';

const run = promisify(execFile);
const command = new URL('../../cli/bin/enclaver', import.meta.url).pathname;

/** The smallest app there is: busybox, asleep. What is measured around it is ours. Needs no container engine. */
export async function buildIdleImage(work: string, env: NodeJS.ProcessEnv): Promise<string> {
  const layout = join(work, 'image');
  await mkdir(layout, { recursive: true });
  await busyboxLayout(layout, ['sleep', '100000']);
  const manifest = join(work, 'enclaver.yaml');
  await writeFile(manifest, 'version: v1\nname: idle\ntarget: bench/idle:enclave\nsources:\n  app: oci:image\n');
  const eif = join(work, 'idle.eif');
  await run(command, ['build', '-f', manifest, '--eif-only', eif], { env: { ...process.env, ...env } });
  return eif;
}
