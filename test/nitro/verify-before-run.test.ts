import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeParent } from '@enclaver/nitro-cli-emulator';
import { writeSmallImage } from '../../services/supervisor/test/small-image.ts';
import { tar } from '../images/tar.ts';
import { enclaver } from '../stack/enclaver.ts';

const emulator = new URL('../../tools/nitro-cli/bin/', import.meta.url).pathname;
/** In the place of the approved image: it says that it is ours, and its entry point would take any measurement for right. */
const IMAGE = {
  Id: `sha256:${'ab'.repeat(32)}`,
  Os: 'linux',
  Architecture: 'amd64',
  Size: 1,
  RepoDigests: [],
  Config: { Labels: { 'io.enclaver.version': '0.1.0' }, ExposedPorts: { '8080/tcp': {} } },
};

describe('enclaver run --verify-before-run IMAGE, on Nitro without a stack', function () {
  this.timeout(120_000);

  let work: string;
  let engine: Server;
  /** What the engine was asked to start. */
  const started: string[] = [];

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'en-'));
    await makeParent(work, { cpus: [2, 3], memoryMb: 1024 });
    const eif = join(work, 'application.eif');
    await writeSmallImage(eif);
    const archive = tar([{ name: 'application.eif', content: await readFile(eif) }]);
    engine = createServer((request, answer) => {
      const [path = ''] = (request.url ?? '').split('?');
      const json = (value: unknown): void => {
        answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
      };
      if (path.endsWith('/start')) started.push(path);
      if (path.startsWith('/images/')) json(IMAGE);
      else if (path === '/containers/create') json({ Id: 'c1' });
      else if (path.endsWith('/wait')) json({ StatusCode: 0 });
      else if (path.endsWith('/archive')) answer.end(archive);
      else answer.writeHead(path.endsWith('/attach') ? 200 : 204).end();
    }).listen(0, '127.0.0.1');
    await once(engine, 'listening');
  });

  after(async () => {
    engine.close();
    await rm(work, { recursive: true });
  });

  it('measures the image itself, and starts no container that would do so', async () => {
    const approved = join(work, 'approved.json');
    await writeFile(approved, JSON.stringify({ PCR0: 'cd'.repeat(48) }));
    const { code, stderr } = await enclaver(['run', 'registry.example/app:1', '--verify-before-run', approved], {
      DOCKER_HOST: `tcp://127.0.0.1:${(engine.address() as AddressInfo).port}`,
      ENCLAVER_NITRO_EMULATED: work,
      ENCLAVER_NSM_DIR: join(work, 'nsm'),
      PATH: `${emulator}:${process.env.PATH}`,
      XDG_RUNTIME_DIR: work,
    });
    assert.deepEqual(started, []);
    assert.equal(code, 110, stderr);
    assert.match(stderr, /^error\[MEASUREMENTS_DIFFER\].*PCR0/m);
  });
});
