import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeOciLayout } from '../../test/images/image.ts';
import { nodeLayer } from '../../test/images/node-layer.ts';
import { tar } from '../../test/images/tar.ts';

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * What the Dockerfile makes, made without a container engine: an OCI layout in `folder`. The same checkout gives the same
 * bytes.
 */
export async function makeHelloImage(folder: string): Promise<void> {
  const app = tar([
    { name: 'srv/' },
    { name: 'srv/hello/' },
    { name: 'srv/hello/package.json', content: await readFile(join(import.meta.dirname, 'package.json')) },
    { name: 'srv/hello/server.js', content: await readFile(join(import.meta.dirname, 'server.js')) },
  ]);
  const config = {
    User: '1000:1000',
    ExposedPorts: { '8080/tcp': {} },
    Env: [PATH, 'NODE_USE_ENV_PROXY=1'],
    Entrypoint: ['node'],
    Cmd: ['server.js', 'Hello'],
    WorkingDir: '/srv/hello',
  };
  await writeOciLayout(folder, [{ image: { layers: [await nodeLayer(), app], config }, name: 'latest' }]);
}

if (import.meta.main) await makeHelloImage(join(import.meta.dirname, 'image'));
