import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { readEif } from '@enclaver/eif';
import Dockerode from 'dockerode';
import { dockerArchive, type ImageSpec } from '../../../../test/images/image.ts';
import { tar } from '../../../../test/images/tar.ts';
import { DockerRegistry } from '../../../../test/stack/docker-registry.ts';
import { extractEif } from '../../src/extract.ts';
import { Engine } from '../../src/image/engine.ts';
import { publishImages } from '../publish.ts';
import { Bench, lines, manifest, readRamdisk, refusal } from '../support.ts';

/** Against the engine that DOCKER_HOST names; `npm test` starts one. Nothing of these tests stays in it. */
describe('builder with a Docker Engine', () => {
  const docker = new Dockerode();
  const run = randomBytes(4).toString('hex');
  const app = `enclaver-test/app-${run}`;
  const base = `enclaver-test/base-${run}`;
  const target = `enclaver-test/release-${run}:v1`;
  let bench: Bench;

  before(async () => {
    await load(`${app}:latest`, {
      layers: [
        tar([
          { name: 'app', content: 'old' },
          { name: 'gone' },
          { name: 'tool', mode: 0o4755, uid: 12, gid: 34 },
          { name: 'link', type: 'hard-link', link: 'tool' },
        ]),
        tar([{ name: 'app', content: 'new', mode: 0o755 }, { name: '.wh.gone' }]),
      ],
      config: { Entrypoint: ['/app'], Cmd: ['--x'], User: '12:34' },
    });
    await load(`${app}:other`, { layers: [tar([{ name: 'app', content: 'wrong tag' }])], config: { Cmd: ['/app'] } });
    await load(`${base}:1`, {
      layers: [tar([{ name: 'bin/' }, { name: 'bin/run', mode: 0o755, content: 'runner' }])],
      config: { Entrypoint: ['/bin/run', '/enclave/application.eif'], Env: ['FROM=base'] },
    });
  });

  beforeEach(async () => {
    bench = await Bench.create();
  });

  afterEach(() => bench[Symbol.asyncDispose]());

  after(async () => {
    for (const name of [`${app}:latest`, `${app}:other`, `${base}:1`, target]) {
      await docker.getImage(name).remove({ force: true });
    }
    const containers = await docker.listContainers({ all: true, filters: { label: ['enclaver.extract'] } });
    assert.deepEqual(containers, []);
  });

  async function load(name: string, spec: ImageSpec): Promise<void> {
    await (await Engine.find()).load(Readable.from([dockerArchive(spec, [name])]));
  }

  async function fileOf(image: string, path: string): Promise<Buffer> {
    const container = await docker.createContainer({ Image: image, Cmd: ['none'] });
    try {
      const pieces: Buffer[] = [];
      const collect = new PassThrough().on('data', (piece: Buffer) => pieces.push(piece));
      await pipeline((await container.getArchive({ path })) as Readable, collect);
      const all = Buffer.concat(pieces);
      return all.subarray(512, 512 + Number.parseInt(all.toString('latin1', 124, 135), 8));
    } finally {
      await container.remove();
    }
  }

  it('takes an image of the engine, and without a tag only :latest', async () => {
    const result = await bench.build({ manifest: manifest(app) });
    assert.deepEqual(lines(await readRamdisk(bench.file('app.eif'))), [
      'app 100755 0:0 new',
      'link 104755 12:34',
      'tool 104755 12:34',
    ]);
    assert.equal(result.sources.app.name, `${app}:latest`);
    assert.equal(result.sources.app.id, (await docker.getImage(`${app}:latest`).inspect()).Id);
    assert.deepEqual(await bench.leavings(), ['app.eif']);
  });

  it('gives the same ramdisk as the same image from its archive', async () => {
    const stream = (await docker.getImage(`${app}:latest`).get()) as Readable;
    await writeFile(bench.file('saved.tar'), stream);
    const contents: string[] = [];
    for (const source of [`${app}:latest`, 'docker-archive:saved.tar']) {
      await bench.build({ manifest: manifest(source) });
      const entries = await readRamdisk(bench.file('app.eif'));
      contents.push(JSON.stringify(entries.filter(({ path }) => !path.endsWith('enclaver.yaml'))));
    }
    assert.equal(contents[0], contents[1]);
  });

  it('makes a release image: the base with EIF and manifest on top, the same every time', async () => {
    const text = manifest(app).replace('enclaver-test/release:latest', target);
    const sleeve = `${text}  sleeve: ${base}:1\n`;
    const stages: string[] = [];
    const build = () =>
      bench.build({ manifest: sleeve, eifOnly: undefined, onProgress: ({ stage }) => stages.push(stage) });
    const first = await build();
    const info = await docker.getImage(target).inspect();
    assert.equal(first.image?.name, target);
    assert.equal(first.image?.id, info.Id);
    assert.deepEqual(info.Config.Entrypoint, ['/bin/run', '/enclave/application.eif']);
    assert.deepEqual(info.Config.Env, ['FROM=base']);
    assert.equal(info.RootFS.Layers?.length, 2);
    const eif = await readFile(first.eif.path);
    assert.ok((await fileOf(target, '/enclave/application.eif')).equals(eif));
    assert.equal((await fileOf(target, '/enclave/enclaver.yaml')).toString(), sleeve);
    assert.equal((await fileOf(target, '/bin/run')).toString(), 'runner');
    assert.equal(first.eif.path, `${bench.dataDir}/eif/${createHash('sha256').update(eif).digest('hex')}.eif`);
    assert.deepEqual([...new Set(stages)], ['resolve', 'flatten', 'assemble', 'package']);
    await docker.getImage(target).remove({ force: true });
    const second = await build();
    assert.equal(second.image?.id, first.image?.id);
    assert.deepEqual(await bench.leavings(), [`data/eif/${first.eif.sha256}.eif`]);
  });

  it('writes into a release image what it was built from, and which ports it lets in', async () => {
    // Loading over a tag leaves the image before without a name
    await docker.getImage(target).remove({ force: true });
    const text = `${manifest(app, 'ingress:\n  - listen_port: 8443\n').replace('enclaver-test/release:latest', target)}`;
    const built = await bench.build({ manifest: text, eifOnly: undefined, baseImage: `${base}:1` });
    const { Labels, ExposedPorts } = (await docker.getImage(target).inspect()).Config;
    assert.deepEqual(Labels, {
      'io.enclaver.version': '0.0.0-test',
      'io.enclaver.platform': 'linux/amd64',
      'io.enclaver.source.name': app,
      'io.enclaver.source.id': built.sources.app.id,
      'io.enclaver.base.name': `${base}:1`,
      'io.enclaver.base.id': built.sources.base?.id,
      'io.enclaver.eif.sha256': built.eif.sha256,
      'io.enclaver.pcr0': built.measurements.PCR0,
      'io.enclaver.pcr1': built.measurements.PCR1,
      'io.enclaver.pcr2': built.measurements.PCR2,
    });
    assert.deepEqual(ExposedPorts, { '8443/tcp': {} });
  });

  it('takes the EIF out of a release image again', async () => {
    // Loading over a tag leaves the image before without a name
    await docker.getImage(target).remove({ force: true });
    const text = manifest(app).replace('enclaver-test/release:latest', target);
    const built = await bench.build({ manifest: text, eifOnly: undefined, baseImage: `${base}:1` });
    const other = bench.file('other-data');
    const { eif: path, sha256, image } = await extractEif(target, { dataDir: other });
    assert.equal(sha256, built.eif.sha256);
    assert.equal(image.id, built.image?.id);
    assert.equal(path, `${other}/eif/${built.eif.sha256}.eif`);
    assert.deepEqual((await readEif(path)).measurements, built.measurements);
    await assert.rejects(extractEif(`${base}:1`, { dataDir: other }), refusal('IMAGE_NO_EIF', /application\.eif/));
    await assert.rejects(extractEif('127.0.0.1:1/none', { dataDir: other }), refusal('PULL_FAILED', /none:latest/));
    await assert.rejects(extractEif(`sha256:${'0'.repeat(64)}`, { dataDir: other }), refusal('IMAGE_NOT_FOUND'));
  });

  it('says before it builds that the base is missing', async () => {
    const stages: string[] = [];
    await assert.rejects(
      bench.build({
        manifest: manifest(app),
        eifOnly: undefined,
        baseImage: `${base}:none`,
        onProgress: ({ stage }) => stages.push(stage),
      }),
      refusal('BASE_IMAGE_MISSING', /:none/),
    );
    assert.ok(!stages.includes('flatten'));
    assert.deepEqual(await bench.leavings(), []);
  });

  it('looks in the registry for an image that it has for another platform alone', async () => {
    await load(`${app}:386`, { layers: [tar([{ name: 'app' }])], config: { Cmd: ['/app'] }, architecture: '386' });
    try {
      const built = bench.build({ manifest: manifest(`${app}:386`), platform: 'linux/amd64' });
      await assert.rejects(built, (error: { code?: string }) => error.code !== 'IMAGE_ARCH');
    } finally {
      await docker.getImage(`${app}:386`).remove({ force: true });
    }
  });

  it('builds a second time of the registry, too, what is to be fetched although it is here', async () => {
    await using registry = await DockerRegistry.start();
    const name = `${registry.host}/pulled:1`;
    const of = (mark: string): ImageSpec => ({
      layers: [tar([{ name: 'app', content: mark }])],
      config: { Cmd: ['/app'] },
    });
    await load(name, of('old'));
    try {
      await publishImages(registry.host, 'pulled:1', [of('new')]);
      await bench.build({ manifest: manifest(name), pull: true, check: true });
      assert.deepEqual(lines(await readRamdisk(bench.file('app.eif'))), ['app 100644 0:0 new']);
    } finally {
      await docker.getImage(name).remove({ force: true });
    }
  });

  it('takes a failure that the engine reports within its answer for one', async () => {
    const damaged = { layers: [tar([{ name: 'a', type: 'hard-link', link: 'none' }])], config: {} };
    await assert.rejects(load(`${app}:damaged`, damaged), refusal('ENGINE_ERROR', /none/));
  });

  it('says that an image is nowhere, and that a registry does not answer', async () => {
    // Port 1 of this machine: nothing listens there
    await assert.rejects(
      bench.build({ manifest: manifest('127.0.0.1:1/none:1') }),
      refusal('PULL_FAILED', /127\.0\.0\.1:1/),
    );
    assert.deepEqual(await bench.leavings(), []);
  });
});
