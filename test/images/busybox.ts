import { access, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { type ImageSpec, writeOciLayout } from './image.ts';
import { tar } from './tar.ts';

const COMMANDS = ['cat', 'echo', 'env', 'id', 'kill', 'ls', 'pwd', 'sh', 'sleep', 'true'];

/** A layer with the machine's static busybox and a link for each of the usual commands. */
export async function busyboxLayer(): Promise<Buffer> {
  return tar([
    { name: 'bin/' },
    { name: 'bin/busybox', mode: 0o755, content: await readFile(await findBusybox()) },
    ...COMMANDS.map((name) => ({ name: `bin/${name}`, link: 'busybox' })),
    { name: 'etc/' },
    { name: 'etc/passwd', content: 'root:x:0:0:root:/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n' },
    { name: 'etc/group', content: 'root:x:0:\napp:x:1000:\n' },
  ]);
}

/** An OCI layout in `folder` of busybox that runs `command`. */
export async function busyboxLayout(
  folder: string,
  command: readonly string[],
  config: ImageSpec['config'] = {},
): Promise<void> {
  const image = { layers: [await busyboxLayer()], config: { Env: ['PATH=/bin'], ...config, Cmd: command } };
  await writeOciLayout(folder, [{ image }]);
}

export async function findBusybox(): Promise<string> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, 'busybox');
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (there) return path;
  }
  throw new Error('no busybox on this machine: run scripts/setup');
}
