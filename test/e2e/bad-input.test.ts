import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFile, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { enclaver, type Finished } from '../stack/enclaver.ts';
import { docker } from '../stack/engine.ts';
import { TestStack } from '../stack/stack.ts';
import { buildEnclave } from './build-image.ts';

const manifest = (app: string, more = '') =>
  `version: v1\nname: bad\ntarget: enclaver-test/bad:enclave\nsources:\n  app: ${app}\n${more}`;

describe('bad input', function () {
  this.timeout(120_000);

  let work: string;
  let stack: TestStack;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-e2e-'));
    stack = await TestStack.start();
  });

  after(async () => {
    await stack[Symbol.asyncDispose]();
    await rm(work, { recursive: true });
  });

  /** One error with this code and a remedy, exit code 1, and no file in the work folder that was not there. */
  const fails = async (args: string[], code: string, env: NodeJS.ProcessEnv = stack.env): Promise<Finished> => {
    const before = await readdir(work, { recursive: true });
    const finished = await enclaver(args, env);
    assert.equal(finished.code, 1, finished.stderr);
    assert.equal(finished.stdout, '');
    assert.match(finished.stderr, new RegExp(`^error\\[${code}\\]: `, 'm'));
    assert.equal(finished.stderr.match(/^error\[/gm)?.length, 1, finished.stderr);
    assert.match(finished.stderr, /^ {2}help: /m, `no remedy in: ${finished.stderr}`);
    assert.deepEqual(await readdir(work, { recursive: true }), before);
    return finished;
  };

  const buildOf = async (text: string): Promise<string[]> => {
    const file = join(work, 'enclaver.yaml');
    await writeFile(file, text);
    return ['build', '-f', file, '--eif-only', join(work, 'bad.eif')];
  };

  it('an unknown key of the manifest, with its place', async () => {
    const { stderr } = await fails(
      await buildOf(manifest('app:1', 'ingres:\n  - listen_port: 80\n')),
      'MANIFEST_INVALID',
    );
    assert.match(stderr, /enclaver\.yaml:6:1: .*ingres/);
  });

  it('YAML that is none', async () => {
    await fails(await buildOf('version: v1\nname: [unclosed\n'), 'MANIFEST_YAML');
  });

  it('no manifest', async () => {
    await fails(['build', '-f', join(work, 'nowhere.yaml')], 'MANIFEST_UNREADABLE');
  });

  it('an image that is nowhere', async () => {
    await fails(await buildOf(manifest('127.0.0.1:1/no/such:image')), 'PULL_FAILED');
    await fails(await buildOf(manifest('docker-archive:nowhere.tar')), 'IMAGE_NOT_FOUND');
  });

  it('an image with neither CMD nor ENTRYPOINT', async () => {
    await writeFile(join(work, 'Dockerfile'), 'FROM scratch\nCOPY enclaver.yaml /\n');
    const args = await buildOf(manifest('enclaver-test/no-command:e2e'));
    await docker(['build', '--tag', 'enclaver-test/no-command:e2e', work]);
    await fails(args, 'IMAGE_NO_COMMAND');
  });

  it('sections of the manifest that this release does not have', async () => {
    const { stderr } = await fails(
      await buildOf(
        manifest('app:1', 'spire: { server_addr: "https://s:8081", ca_cert: c, trust_domain: t, svid_dir: /d }\n'),
      ),
      'NOT_IN_THIS_RELEASE',
    );
    assert.match(stderr, /spire/);
  });

  describe('for an enclave image', () => {
    let eif: string;

    before(async () => {
      const built = await buildEnclave({
        work,
        name: 'good',
        context: { dockerfile: 'FROM enclaver-test/busybox:local\nCMD ["sh"]\n' },
        manifest: 'ingress:\n  - listen_port: 8080\n',
        env: stack.env,
      });
      eif = built.eif;
    });

    it('one that is not there, cut off, or none at all', async () => {
      await fails(['run', join(work, 'nowhere.eif')], 'EIF_NOT_FOUND');
      await writeFile(join(work, 'text.eif'), 'this is no enclave image'.repeat(100));
      await fails(['run', join(work, 'text.eif')], 'EIF_HEADER');
      await copyFile(eif, join(work, 'cut.eif'));
      await truncate(join(work, 'cut.eif'), 1_000_000);
      await fails(['run', join(work, 'cut.eif')], 'EIF_TRUNCATED');
    });

    it('a port that is taken', async () => {
      const taken = createServer().listen(0, '127.0.0.1');
      await once(taken, 'listening');
      const { port } = taken.address() as AddressInfo;
      const { stderr } = await fails(['run', eif, '-p', `127.0.0.1:${port}:8080`], 'PORT_IN_USE');
      assert.match(stderr, new RegExp(`127\\.0\\.0\\.1:${port}`));
      taken.close();
    });

    it('a published port that the manifest does not have', async () => {
      await fails(['run', eif, '-p', '127.0.0.1:0:9090'], 'PORT_NOT_IN_MANIFEST');
    });

    it('too little memory', async () => {
      await fails(['run', eif, '--memory-mb', '128'], 'MEMORY_TOO_SMALL');
    });
  });

  it('an image that neither the engine nor a registry has, and one that is no enclave', async () => {
    await fails(['run', '127.0.0.1:1/never-built:e2e'], 'PULL_FAILED');
    await fails(['run', 'enclaver-test/busybox:local'], 'IMAGE_NO_EIF');
  });

  it('no stack, or credentials that lead nowhere', async () => {
    await fails(['ps'], 'BUS_UNREACHABLE', { ENCLAVER_BUS: undefined, XDG_RUNTIME_DIR: work });
    const file = join(work, 'bus.json');
    await writeFile(file, JSON.stringify({ url: 'nats://127.0.0.1:1' }));
    await fails(['ps'], 'BUS_UNREACHABLE', { ENCLAVER_BUS: file });
  });

  it('an enclave that is not there', async () => {
    await fails(['stop', 'nobody'], 'ENCLAVE_NOT_FOUND');
    await fails(['logs', 'nobody'], 'ENCLAVE_NOT_FOUND');
  });

  it('wrong usage: exit code 2', async () => {
    for (const args of [
      ['run', '--no-such-option'],
      ['run', 'x.eif', '-p', '80'],
      ['run', 'x', '-f', 'y'],
      ['frobnicate'],
    ]) {
      const { code } = await enclaver(args);
      assert.equal(code, 2, args.join(' '));
    }
  });
});
