import assert from 'node:assert/strict';
import Dockerode from 'dockerode';
import type { ImageSpec } from '../../../../test/images/image.ts';
import { Registry } from '../../../../test/images/registry.ts';
import { tar } from '../../../../test/images/tar.ts';
import { Bench, lines, manifest, readRamdisk, refusal } from '../support.ts';

function image(mark: string, architecture = 'amd64'): ImageSpec {
  const layers = [tar([{ name: 'mark', content: mark }])];
  return { layers, config: { Cmd: ['/app'] }, architecture, compression: 'gzip' };
}

describe('builder with a Docker Engine and a registry', () => {
  const docker = new Dockerode();
  let registry: Registry;
  let bench: Bench;
  const used = new Set<string>();

  beforeEach(async () => {
    bench = await Bench.create();
    registry = await Registry.start();
  });

  afterEach(async () => {
    for (const id of used) await docker.getImage(id).remove({ force: true });
    used.clear();
    await registry[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  async function markOf(app: string, pull?: boolean): Promise<string[]> {
    const result = await bench.build({ manifest: manifest(app), ...(pull === undefined ? {} : { pull }) });
    used.add(result.sources.app.id);
    return lines(await readRamdisk(bench.file('app.eif')));
  }

  it('pulls what the engine lacks: of a name without a tag only :latest', async () => {
    registry.push('app:latest', image('first'));
    registry.push('app:other', image('other'));
    const stages: string[] = [];
    const app = `${registry.host}/app`;
    const result = await bench.build({ manifest: manifest(app), onProgress: ({ stage }) => stages.push(stage) });
    used.add(result.sources.app.id);
    assert.ok(stages.includes('pull'));
    assert.ok(!registry.asked.includes('other'));
    assert.equal(result.sources.app.name, `${app}:latest`);
    assert.match(result.sources.app.repoDigest ?? '', new RegExp(`^${app}@sha256:[0-9a-f]{64}$`));
  });

  it('takes what the engine has, and with pull the newer one of the registry', async () => {
    const app = `${registry.host}/app:1`;
    registry.push('app:1', image('old'));
    assert.deepEqual(await markOf(app), ['mark 100644 0:0 old']);
    registry.push('app:1', image('new'));
    assert.deepEqual(await markOf(app), ['mark 100644 0:0 old']);
    assert.deepEqual(await markOf(app, true), ['mark 100644 0:0 new']);
  });

  it('tells an image that the registry does not have, and one for another machine', async () => {
    await assert.rejects(markOf(`${registry.host}/none:1`), refusal('IMAGE_NOT_FOUND', /none:1/));
    registry.push('arm:1', image('arm', 'arm64'));
    await assert.rejects(markOf(`${registry.host}/arm:1`), (error: { code?: string }) => {
      assert.match(error.code ?? '', /^(IMAGE_ARCH|PULL_FAILED|IMAGE_NOT_FOUND)$/);
      return true;
    });
    for (const { Id, RepoTags } of await docker.listImages()) {
      if (RepoTags?.some((tag) => tag.startsWith(registry.host))) used.add(Id);
    }
    assert.deepEqual(await bench.leavings(), []);
  });
});
