import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { writeOciLayout } from '../images/image.ts';
import { tar } from '../images/tar.ts';
import { DockerRegistry } from '../stack/docker-registry.ts';
import { enclaver } from '../stack/enclaver.ts';
import { docker } from '../stack/engine.ts';
import { TestStack } from '../stack/stack.ts';
import { busPasswords, tracesOf } from '../stack/traces.ts';

const root = new URL('../../', import.meta.url).pathname;

const PASSPHRASE = 'canary-of-a-passphrase';

/**
 * Documents whose blocks marked `sh` are run as they stand, one after the other. Those that need no stack have tests of their
 * own: docs/signing.md beside this one, docs/trust.md in cli/test.
 */
const DOCUMENTS = ['build', 'eif', 'supply-chain'] as const;

describe('commands of the documentation', function () {
  this.timeout(240_000);

  let stack: TestStack;
  let registry: DockerRegistry;
  let work: string;
  let environment: NodeJS.ProcessEnv;

  before(async () => {
    registry = await DockerRegistry.start();
    work = await mkdtemp(join(tmpdir(), 'enclaver-docs-'));
    const services = { ENCLAVER_BASE_IMAGE: `${registry.host}/base:1`, COSIGN_PASSWORD: PASSPHRASE };
    stack = await TestStack.start({}, { ...services, ENCLAVER_LOG_LEVEL: 'trace' });
    environment = {
      ...process.env,
      ...stack.env,
      ...services,
      PATH: [join(root, 'cli/bin'), process.env.PATH].join(delimiter),
      REGISTRY: registry.host,
      APP_IMAGE: `${registry.host}/app:1`,
      ARM_IMAGE: `${registry.host}/arm:1`,
    };
    await publish('app:1', 'amd64');
    await publish('base:1', 'amd64');
    await publish('arm:1', 'arm64');
  });

  after(async () => {
    await stack[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    await rm(work, { recursive: true });
    await docker(['rmi', '--force', `${registry.host}/payments:enclave`]);
  });

  async function publish(name: string, architecture: string): Promise<void> {
    const layout = join(work, 'published');
    const layers = [tar([{ name: 'app', mode: 0o755, content: 'an app' }])];
    await writeOciLayout(layout, [{ image: { layers, config: { Entrypoint: ['/app'] }, architecture }, name: 'it' }]);
    const args = ['copy', '-q', '--dest-tls-verify=false', `oci:${layout}:it`, `docker://${registry.host}/${name}`];
    await bash(`exec skopeo ${args.map((word) => `'${word}'`).join(' ')}`, work);
  }

  /** What every document may take to be there: a manifest and an EIF of it. */
  async function prepare(folder: string): Promise<void> {
    const manifest = `version: v1\nname: payments\ntarget: ${registry.host}/payments:enclave\nsources:\n  app: ${registry.host}/app:1\n`;
    await writeFile(join(folder, 'enclaver.yaml'), manifest);
    const args = ['build', '-f', join(folder, 'enclaver.yaml'), '--eif-only', join(folder, 'app.eif')];
    const built = await enclaver(args, stack.env);
    assert.equal(built.code, 0, built.stderr);
  }

  async function bash(script: string, cwd: string): Promise<void> {
    const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
      cwd,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [out, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    assert.equal(code, 0, `${script}\n${out}${errors}`);
  }

  for (const name of DOCUMENTS) {
    it(`docs/${name}.md: each does what the page says`, async () => {
      const page = await readFile(join(root, `docs/${name}.md`), 'utf8');
      const blocks = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block);
      assert.ok(blocks.length > 0, 'no commands on this page');
      const folder = await mkdtemp(join(work, `${name}-`));
      await prepare(folder);
      for (const block of blocks) await bash(block, folder);
    });
  }

  // In a group of its own, so that all of them have run by then
  describe('afterwards', () => {
    it('the passphrase of the signing key is in nothing that the builder has said or kept', async () => {
      assert.deepEqual(await tracesOf({ passphrase: PASSPHRASE, ...(await busPasswords(stack)) }, stack, {}), []);
    });
  });
});
