import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer as createHttp, type ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import { mock } from 'node:test';
import { extractEif } from '../src/extract.ts';
import { limits, serviceLimits } from '../src/limits.ts';
import { verifyBuild } from '../src/rebuild/verify-build.ts';
import { RunningBuilds } from '../src/running-builds.ts';
import { Bench, manifest, refusal } from './support.ts';

const APP = '127.0.0.1:1/app:1';

/** Programs in the place of skopeo and a credential helper, which end when they are ended; no engine. */
describe('builder with a registry that stays silent', () => {
  let bench: Bench;
  const saved = { ...process.env };

  beforeEach(async () => {
    bench = await Bench.create();
    await mkdir(bench.file('bin'));
    process.env.DOCKER_HOST = `unix://${bench.file('no.sock')}`;
    process.env.DOCKER_CONFIG = bench.path;
    process.env.PATH = `${bench.file('bin')}:${saved.PATH}`;
    await program('skopeo', `echo begun >"${pipe('skopeo')}"; exec sleep 1000`);
  });

  afterEach(async () => {
    mock.timers.reset();
    for (const name of ['DOCKER_HOST', 'DOCKER_CONFIG', 'PATH']) {
      if (saved[name] === undefined) delete process.env[name];
      else process.env[name] = saved[name];
    }
    await bench[Symbol.asyncDispose]();
  });

  async function program(name: string, script: string): Promise<void> {
    await writeFile(bench.file(`bin/${name}`), `#!/bin/sh\n${script}\n`);
    await chmod(bench.file(`bin/${name}`), 0o755);
  }

  /** A named pipe: to read it is to wait for who writes, and the other way round. */
  function pipe(name: string): string {
    const path = bench.file(`${name}.pipe`);
    execFileSync('mkfifo', [path]);
    return path;
  }

  const begun = (): Promise<string> => readFile(bench.file('skopeo.pipe'), 'utf8');

  it('waits for its answer no longer than the bound', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const building = assert.rejects(
      bench.build({ manifest: manifest(APP) }),
      refusal('PULL_FAILED', /app:1: skopeo did not end within 120 s/),
    );
    await begun();
    mock.timers.tick(limits.inspectMs);
    await building;
    assert.deepEqual(
      (await bench.leavings()).filter((name) => name.startsWith('data')),
      [],
    );
  });

  for (const [what, start] of [
    [
      'the comparison of a release image',
      (signal: AbortSignal) =>
        verifyBuild({
          dataDir: bench.dataDir,
          runtime: bench.file('runtime'),
          contextDir: bench.path,
          image: APP,
          signal,
        }),
    ],
    ['the extraction of an EIF', (signal: AbortSignal) => extractEif(APP, { dataDir: bench.dataDir, signal })],
  ] as const) {
    it(`ends ${what} that is cancelled meanwhile`, async () => {
      const cancel = new AbortController();
      const ended = assert.rejects(start(cancel.signal), /no longer wanted/);
      await begun();
      cancel.abort(new Error('no longer wanted'));
      await ended;
    });
  }

  for (const [what, start] of [
    ['a build of an EIF', (signal: AbortSignal) => bench.build({ manifest: manifest(APP), signal })],
    [
      'a build of a release image',
      (signal: AbortSignal) => bench.build({ manifest: manifest(APP), eifOnly: undefined, signal }),
    ],
    ['the extraction of an EIF', (signal: AbortSignal) => extractEif(APP, { dataDir: bench.dataDir, signal })],
  ] as const) {
    it(`ends ${what} that is cancelled while an engine is silent, too`, async () => {
      const asked = Promise.withResolvers<void>();
      const engine = createServer(() => asked.resolve()).listen(bench.file('no.sock'));
      const cancel = new AbortController();
      const ended = assert.rejects(start(cancel.signal), /no longer wanted/);
      await asked.promise;
      cancel.abort(new Error('no longer wanted'));
      await ended;
      engine.close();
    });
  }

  it('lets go of what an engine answers after the build was cancelled', async () => {
    const [asked, gone] = [Promise.withResolvers<ServerResponse>(), Promise.withResolvers<void>()];
    const engine = createHttp((incoming, response) => {
      if (incoming.url?.endsWith('/get') !== true) {
        response.end(JSON.stringify({ Id: `sha256:${'a'.repeat(64)}`, Os: 'linux', Architecture: 'amd64', Size: 1 }));
        return;
      }
      response.on('close', () => gone.resolve());
      asked.resolve(response);
    }).listen(bench.file('no.sock'));
    const cancel = new AbortController();
    const ended = assert.rejects(
      bench.build({ manifest: manifest(APP), platform: 'linux/amd64', signal: cancel.signal }),
      /no longer wanted/,
    );
    const late = await asked.promise;
    cancel.abort(new Error('no longer wanted'));
    await ended;
    late.writeHead(200).write(Buffer.alloc(16 << 20));
    await gone.promise;
    engine.close();
  });

  it('is not asked for the base of release images that nobody named: what it has is somebody else’s', async () => {
    await program('skopeo', `touch "${bench.file('started')}"; exit 1`);
    const engine = createHttp((incoming, response) => {
      response.statusCode = incoming.url?.endsWith('/_ping') === true ? 200 : 404;
      response.end('{"message":"none"}');
    }).listen(bench.file('no.sock'));
    await bench.writeImage([{ name: 'app' }]);
    await assert.rejects(
      bench.build({ manifest: manifest('oci:image'), eifOnly: undefined }),
      refusal('BASE_IMAGE_MISSING', /enclaver\/enclaver/),
    );
    await assert.rejects(readFile(bench.file('started')), { code: 'ENOENT' });
    engine.close();
  });

  it('is not asked by a build that was cancelled while its credentials were looked for', async () => {
    const [asked, answer] = [pipe('asked'), pipe('answer')];
    await program('docker-credential-vault', `echo >"${asked}"; cat "${answer}"`);
    await writeFile(bench.file('config.json'), '{"credsStore":"vault"}');
    await program('skopeo', `touch "${bench.file('started')}"; exit 1`);
    const cancel = new AbortController();
    const ended = assert.rejects(bench.build({ manifest: manifest(APP), signal: cancel.signal }), /no longer wanted/);
    await readFile(asked);
    cancel.abort(new Error('no longer wanted'));
    await writeFile(answer, '{"Username":"a","Secret":"b"}');
    await ended;
    await assert.rejects(readFile(bench.file('started')), { code: 'ENOENT' });
  });

  it('holds no place for longer than anybody waits', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const builds = new RunningBuilds();
    const task = (signal: AbortSignal): Promise<never> =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('broken off')));
      });
    const ended = assert.rejects(builds.run('one', task), refusal('BUILD_TIMEOUT', /3600 s/));
    mock.timers.tick(serviceLimits.requestMs);
    await ended;
    assert.equal(builds.cancel('one'), false);
  });
});
