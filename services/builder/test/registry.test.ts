import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import type { ImageSpec } from '../../../test/images/image.ts';
import { tar } from '../../../test/images/tar.ts';
import { DockerRegistry, REGISTRY_USER } from '../../../test/stack/docker-registry.ts';
import type { BuildOptions } from '../src/build-options.ts';
import { extractEif } from '../src/extract.ts';
import { verifyBuild } from '../src/rebuild/verify-build.ts';
import { publishEntries, publishImages } from './publish.ts';
import { Bench, lines, manifest, readRamdisk, refusal, writeRuntime } from './support.ts';

/** With a registry and no engine at all: `DOCKER_HOST` leads nowhere. */
describe('builder with a registry', () => {
  let registry: DockerRegistry;
  let bench: Bench;
  const saved = { ...process.env };

  before(async () => {
    registry = await DockerRegistry.start();
  });

  beforeEach(async () => {
    bench = await Bench.create();
    process.env.DOCKER_HOST = `unix://${bench.file('no.sock')}`;
    process.env.DOCKER_CONFIG = bench.file('docker');
  });

  afterEach(async () => {
    for (const name of ['DOCKER_HOST', 'DOCKER_CONFIG', 'PATH']) {
      if (saved[name] === undefined) delete process.env[name];
      else process.env[name] = saved[name];
    }
    await bench[Symbol.asyncDispose]();
  });

  after(() => registry[Symbol.asyncDispose]());

  function image(mark: string, more: Partial<ImageSpec> = {}): ImageSpec {
    const layers = [tar([{ name: 'mark', content: mark }])];
    return { layers, config: { Cmd: ['/app'] }, compression: 'gzip', ...more };
  }

  const publish = (name: string, images: readonly ImageSpec[], host = registry.host): Promise<void> =>
    publishImages(host, name, images);

  async function marks(app: string, options: Partial<BuildOptions> = {}): Promise<string[]> {
    await bench.build({ manifest: manifest(app), ...options });
    return lines(await readRamdisk(bench.file('app.eif')));
  }

  it('fetches an image, and pins what it took by the digest of its manifest', async () => {
    await publish('app:latest', [image('latest')]);
    await publish('app:other', [image('other')]);
    const stages: string[] = [];
    const app = `${registry.host}/app`;
    const result = await bench.build({ manifest: manifest(app), onProgress: ({ stage }) => stages.push(stage) });
    assert.deepEqual(lines(await readRamdisk(bench.file('app.eif'))), ['mark 100644 0:0 latest']);
    assert.ok(stages.includes('pull'));
    assert.equal(result.sources.app.name, `${app}:latest`);
    const pinned = result.sources.app.repoDigest ?? '';
    assert.match(pinned, new RegExp(`^${app}@sha256:[0-9a-f]{64}$`));
    const raw = await fetch(`http://${registry.host}/v2/app/manifests/latest`, {
      headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
    });
    assert.equal(raw.headers.get('docker-content-digest'), pinned.split('@')[1]);
    await publish('app:latest', [image('newer')]);
    assert.deepEqual(await marks(pinned), ['mark 100644 0:0 latest']);
    // The digest says which image it is; skopeo takes no tag beside it
    assert.deepEqual(await marks(pinned.replace('@', ':latest@')), ['mark 100644 0:0 latest']);
    assert.deepEqual(await bench.leavings(), ['app.eif']);
  });

  it('takes of an image for several platforms the one asked for, or that of this machine', async () => {
    await publish('both:1', [image('intel'), image('arm', { architecture: 'arm64' })]);
    const app = `${registry.host}/both:1`;
    assert.deepEqual(await marks(app, { platform: 'linux/arm64' }), ['mark 100644 0:0 arm']);
    assert.deepEqual(await marks(app, { platform: 'linux/amd64' }), ['mark 100644 0:0 intel']);
    const own = process.arch === 'arm64' ? 'arm' : 'intel';
    assert.deepEqual(await marks(app), [`mark 100644 0:0 ${own}`]);
    await publish('arm:1', [image('arm', { architecture: 'arm64' })]);
    assert.deepEqual(await marks(`${registry.host}/arm:1`), ['mark 100644 0:0 arm']);
    await assert.rejects(marks(`${registry.host}/arm:1`, { platform: 'linux/amd64' }), refusal('IMAGE_ARCH', /arm64/));
  });

  it('takes the only image of an index that BuildKit wrote for one platform, whatever this machine is', async () => {
    const architecture = process.arch === 'arm64' ? 'amd64' : 'arm64';
    await publishEntries(registry.host, 'single:1', [
      { image: image('other', { architecture }) },
      { attestation: true },
    ]);
    assert.deepEqual(await marks(`${registry.host}/single:1`), ['mark 100644 0:0 other']);
  });

  it('tells what it cannot fetch', async () => {
    await assert.rejects(marks(`${registry.host}/none:1`), refusal('IMAGE_NOT_FOUND', /none:1/));
    await assert.rejects(marks('127.0.0.1:1/none:1'), refusal('PULL_FAILED', /refused/));
    process.env.PATH = bench.path;
    await assert.rejects(marks(`${registry.host}/none:1`), refusal('SKOPEO_MISSING'));
    assert.deepEqual(await bench.leavings(), []);
  });

  describe('that asks for a login', () => {
    let closed: DockerRegistry;

    before(async () => {
      closed = await DockerRegistry.start({ login: true });
    });

    after(() => closed[Symbol.asyncDispose]());

    beforeEach(async () => {
      await mkdir(bench.file('docker'));
      await publish('app:1', [image('secret')], closed.host);
    });

    const configure = (config: object): Promise<void> =>
      writeFile(bench.file('docker/config.json'), JSON.stringify(config));
    const basic = Buffer.from(`${REGISTRY_USER.name}:${REGISTRY_USER.secret}`).toString('base64');

    async function writeHelper(name: string, answer: string, status = 0): Promise<void> {
      await mkdir(bench.file('bin'), { recursive: true });
      const path = bench.file(`bin/docker-credential-${name}`);
      await writeFile(path, `#!/bin/sh\ncat >"${bench.file('asked')}"\necho '${answer}'\nexit ${status}\n`);
      await chmod(path, 0o755);
      process.env.PATH = `${bench.file('bin')}:${saved.PATH}`;
    }

    it('logs in with what `docker login` wrote', async () => {
      await configure({ auths: { [closed.host]: { auth: basic } } });
      assert.deepEqual(await marks(`${closed.host}/app:1`), ['mark 100644 0:0 secret']);
      // As users of the docker client turn a helper off
      await configure({ auths: { [closed.host]: { auth: basic } }, credsStore: '' });
      assert.deepEqual(await marks(`${closed.host}/app:1`), ['mark 100644 0:0 secret']);
      await configure({
        auths: { [closed.host]: { auth: basic } },
        credHelpers: { [closed.host]: '' },
        credsStore: 'none-such',
      });
      assert.deepEqual(await marks(`${closed.host}/app:1`), ['mark 100644 0:0 secret']);
    });

    it('logs in with what a credential helper knows', async () => {
      await writeHelper('vault', JSON.stringify({ Username: REGISTRY_USER.name, Secret: REGISTRY_USER.secret }));
      await configure({ credHelpers: { [closed.host]: 'vault' } });
      assert.deepEqual(await marks(`${closed.host}/app:1`), ['mark 100644 0:0 secret']);
      assert.equal(await readFile(bench.file('asked'), 'utf8'), closed.host);
      await configure({ credsStore: 'vault' });
      assert.deepEqual(await marks(`${closed.host}/app:1`), ['mark 100644 0:0 secret']);
    });

    it('says that a login is missing or of no use, and never what it is', async () => {
      await assert.rejects(marks(`${closed.host}/app:1`), refusal('PULL_FAILED'));
      await writeHelper('vault', 'credentials not found in native keychain', 1);
      await configure({ credsStore: 'vault' });
      await assert.rejects(marks(`${closed.host}/app:1`), refusal('PULL_FAILED'));
      await writeHelper('vault', `{"Secret":"${REGISTRY_USER.secret}"`);
      await assert.rejects(marks(`${closed.host}/app:1`), (error: Error) => {
        refusal('CREDENTIALS_INVALID')(error);
        assert.ok(!error.message.includes(REGISTRY_USER.secret));
        return true;
      });
      await configure({ credsStore: '../evil' });
      await assert.rejects(marks(`${closed.host}/app:1`), refusal('CREDENTIALS_INVALID', /evil/));
      await writeFile(bench.file('docker/config.json'), `{"auths": ${REGISTRY_USER.secret}`);
      await assert.rejects(marks(`${closed.host}/app:1`), (error: Error) => {
        refusal('CREDENTIALS_INVALID')(error);
        assert.ok(!error.message.includes(REGISTRY_USER.secret));
        return true;
      });
      assert.deepEqual(
        (await bench.leavings()).filter((name) => name.startsWith('data')),
        [],
      );
    });
  });

  describe('release images', () => {
    beforeEach(async () => {
      await publish('app:1', [image('intel'), image('arm', { architecture: 'arm64' })]);
      const base = { config: { Entrypoint: ['/bin/run'] }, layers: [tar([{ name: 'bin/run', mode: 0o755 }])] };
      await publish('base:1', [image('', base), image('', { ...base, architecture: 'arm64' })]);
    });

    const release = (options: Partial<BuildOptions> = {}) =>
      bench.build({
        manifest: manifest(`${registry.host}/app:1`).replace('enclaver-test/release', `${registry.host}/release`),
        baseImage: `${registry.host}/base:1`,
        eifOnly: undefined,
        push: true,
        ...options,
      });

    it('are pushed under the digest that every machine gives them', async () => {
      const first = await release();
      assert.equal(first.image?.repoDigest, `${registry.host}/release@${first.image?.digest}`);
      const fetched = await fetch(`http://${registry.host}/v2/release/manifests/latest`, {
        headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
      });
      assert.equal(fetched.headers.get('docker-content-digest'), first.image?.digest);
      const pushed = (await fetched.json()) as { annotations: Record<string, string>; layers: { digest: string }[] };
      assert.equal(pushed.annotations['io.enclaver.pcr0'], first.measurements.PCR0);
      assert.equal(pushed.annotations['io.enclaver.source.id'], first.sources.app.id);
      assert.deepEqual(
        pushed.layers.map(({ digest }) => digest),
        first.image?.layers.map(({ digest }) => digest),
      );
      const second = await release({ dataDir: bench.file('other') });
      assert.equal(second.image?.digest, first.image?.digest);
    });

    it('are pushed on a base that has one layer twice', async () => {
      // As BuildKit writes an empty one for each step that changes nothing
      const empty = tar([]);
      await publish('base:1', [image('', { layers: [empty, tar([{ name: 'bin/run', mode: 0o755 }]), empty] })]);
      const { image: made } = await release({ platform: 'linux/amd64' });
      assert.equal(made?.layers.length, 4);
      assert.equal(made.layers[0]?.digest, made.layers[2]?.digest);
    });

    it('are made for another architecture than this machine', async () => {
      const built = await release({ platform: 'linux/arm64' });
      assert.equal(built.platform, 'linux/arm64');
      const { eif } = await extractEif(`${registry.host}/release:latest`, {
        dataDir: bench.dataDir,
        platform: 'linux/arm64',
      });
      assert.equal(eif, built.eif.path);
      const header = await readFile(eif);
      assert.equal(header.readUInt16BE(6), 1);
    });

    it('are built again from what they record, and compared', async () => {
      const built = await release({ platform: 'linux/arm64' });
      const verify = (more = {}) =>
        verifyBuild({
          dataDir: bench.dataDir,
          runtime: bench.file('runtime'),
          contextDir: bench.path,
          image: built.image?.repoDigest ?? '',
          ...more,
        });
      const same = await verify();
      assert.equal(same.identical, true);
      assert.equal(same.rebuilt.sha256, built.eif.sha256);
      await publish('app:1', [image('intel'), image('changed', { architecture: 'arm64' })]);
      await assert.rejects(verify(), refusal('SOURCE_MOVED', /app:1 is the image/));
      await publish('app:2', [image('arm', { architecture: 'arm64' })]);
      assert.equal((await verify({ from: `${registry.host}/app:2` })).identical, true);
      await writeRuntime(bench.file('newer'), 'aarch64', 'another init');
      const other = await verify({ from: `${registry.host}/app:2`, runtime: bench.file('newer') });
      assert.equal(other.identical, false);
      assert.notEqual(other.rebuilt.measurements.PCR1, other.recorded.measurements.PCR1);
      assert.equal(other.rebuilt.measurements.PCR2, other.recorded.measurements.PCR2);
      assert.match(JSON.stringify(other.differences), /init/);
      await assert.rejects(verify({ image: `${registry.host}/base:1` }), refusal('IMAGE_NOT_RECORDED'));
    });

    it('are not made where the registry refuses them', async () => {
      const text = manifest(`${registry.host}/app:1`).replace('enclaver-test/release', '127.0.0.1:1/release');
      await assert.rejects(release({ manifest: text }), refusal('PUSH_FAILED', /refused/));
      assert.deepEqual(
        (await bench.leavings()).filter((name) => name.startsWith('data')),
        [],
      );
    });
  });
});
