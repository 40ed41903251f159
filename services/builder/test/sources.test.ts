import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import {
  digestOf,
  dockerArchive,
  type ImageSpec,
  type IndexEntry,
  ociArchive,
  ociFiles,
  writeOciLayout,
} from '../../../test/images/image.ts';
import { tar } from '../../../test/images/tar.ts';
import type { BuilderErrorCode } from '../src/builder-error.ts';
import { Bench, manifest, readRamdisk, refusal } from './support.ts';

/** An image whose only file says which it is. */
function image(mark: string, more: Partial<ImageSpec> = {}): ImageSpec {
  return { layers: [tar([{ name: 'mark', content: mark }])], config: { Cmd: ['/app'] }, ...more };
}

const arm = image('arm', { architecture: 'arm64' });
const index: IndexEntry[] = [
  { name: 'docker.io/library/app:1.0', index: [{ image: arm }, { image: image('one') }, { attestation: true }] },
  { name: '2.0', image: image('two') },
];

describe('image sources', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.create();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  async function markOf(app: string): Promise<string | undefined> {
    await bench.build({ manifest: manifest(app) });
    return (await readRamdisk(bench.file('app.eif'))).find(({ path }) => path === 'rootfs/mark')?.data;
  }

  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    it(`oci: folder with ${compression === 'none' ? 'plain' : compression} layers, platform named or not`, async () => {
      await writeOciLayout(bench.file('image'), [{ image: image('x', { compression }), noPlatform: true }]);
      assert.equal(await markOf('oci:./image'), 'x');
    });
  }

  it('oci: finds amd64 in a nested index, by full name, by tag, and skips attestations', async () => {
    await writeOciLayout(bench.file('image'), index);
    assert.equal(await markOf('oci:image:2.0'), 'two');
    await writeOciLayout(bench.file('image'), index.slice(0, 1));
    assert.equal(await markOf('oci:image:1.0'), 'one');
    assert.equal(await markOf('oci:image'), 'one');
    assert.equal(await markOf(`oci:${bench.file('image')}`), 'one');
  });

  it('oci: passes over what is stored beside an image, such as its signature', async () => {
    await writeOciLayout(bench.file('image'), [{ image: image('signed'), noPlatform: true }, { artifact: true }]);
    assert.equal(await markOf('oci:image'), 'signed');
  });

  it('oci-archive: and docker-archive:, with paths from the context folder', async () => {
    await mkdir(bench.file('in'));
    await writeFile(bench.file('in/oci.tar'), ociArchive(index));
    await writeFile(bench.file('in/docker.tar'), dockerArchive(image('saved'), ['app:1.0']));
    assert.equal(await markOf('oci-archive:in/oci.tar:2.0'), 'two');
    assert.equal(await markOf('docker-archive:in/docker.tar'), 'saved');
  });

  it('docker-archive: with gzip layers, links to layers, and the blobs form of newer engines', async () => {
    const spec = image('x');
    const [layer = Buffer.alloc(0)] = spec.layers;
    const files = ociFiles([{ image: spec }]);
    const config = [...files.keys()].find((path) => files.get(path)?.includes('"rootfs"')) ?? '';
    const blob = `blobs/sha256/${digestOf(layer).slice('sha256:'.length)}`;
    const newer = tar([
      ...[...files].map(([name, content]) => ({ name, content })),
      { name: 'manifest.json', content: JSON.stringify([{ Config: config, Layers: [blob] }]) },
    ]);
    await writeFile(bench.file('newer.tar'), newer);
    assert.equal(await markOf('docker-archive:newer.tar'), 'x');
    const linked = tar([
      { name: 'first/layer.tar', content: layer },
      { name: 'second/layer.tar', link: '../first/layer.tar' },
      { name: 'config.json', content: files.get(config) ?? '' },
      { name: 'manifest.json', content: JSON.stringify([{ Config: 'config.json', Layers: ['second/layer.tar'] }]) },
    ]);
    await writeFile(bench.file('linked.tar'), linked);
    assert.equal(await markOf('docker-archive:linked.tar'), 'x');
  });

  it('gives the same image id and measurements for one image from three kinds of source', async () => {
    const spec = image('same');
    await writeOciLayout(bench.file('image'), [{ image: spec }]);
    await writeFile(bench.file('docker.tar'), dockerArchive(spec));
    await writeFile(bench.file('oci.tar'), ociArchive([{ image: { ...spec, compression: 'zstd' } }]));
    // The manifest is measured and names its source: the comparison is of what else there is
    const sources = ['oci:./image', 'docker-archive:docker.tar', 'oci-archive:oci.tar'];
    const seen = new Set<string>();
    for (const source of sources) {
      const result = await bench.build({ manifest: manifest(source) });
      const entries = (await readRamdisk(bench.file('app.eif'))).filter(({ path }) => !path.endsWith('enclaver.yaml'));
      seen.add(JSON.stringify([result.sources.app.id, result.measurements.PCR1, entries]));
    }
    assert.equal(seen.size, 1);
  });

  const refused: { what: string; app?: string; make: () => Promise<void>; code: BuilderErrorCode; text: RegExp }[] = [
    {
      what: 'a folder that is not there',
      make: async () => undefined,
      code: 'IMAGE_NOT_FOUND',
      text: /no image at .*\/image$/,
    },
    {
      what: 'an archive that is not there',
      app: 'docker-archive:none.tar',
      make: async () => undefined,
      code: 'IMAGE_NOT_FOUND',
      text: /none\.tar/,
    },
    {
      what: 'a name that the layout does not have',
      app: 'oci:image:3.0',
      make: () => writeOciLayout(bench.file('image'), index),
      code: 'IMAGE_NOT_FOUND',
      text: /3\.0; there are: docker\.io\/library\/app:1\.0, 2\.0/,
    },
    {
      what: 'several images without a name to choose',
      make: () => writeOciLayout(bench.file('image'), index),
      code: 'IMAGE_INVALID',
      text: /several images/,
    },
    {
      what: 'an image for a machine that has no enclaves, by its platform',
      make: () => writeOciLayout(bench.file('image'), [{ image: image('other', { architecture: 's390x' }) }]),
      code: 'IMAGE_ARCH',
      text: /linux\/s390x/,
    },
    {
      what: 'an image for a machine that has no enclaves, by its configuration',
      make: () =>
        writeOciLayout(bench.file('image'), [{ image: image('other', { architecture: 's390x' }), noPlatform: true }]),
      code: 'IMAGE_ARCH',
      text: /s390x/,
    },
    {
      what: 'a folder that is no layout',
      make: async () => {
        await mkdir(bench.file('image'));
      },
      code: 'IMAGE_INVALID',
      text: /has no oci-layout/,
    },
    {
      what: 'a layout without one of its blobs',
      make: async () => {
        await writeOciLayout(bench.file('image'), [{ image: image('x') }]);
        const layer = digestOf(image('x').layers[0] ?? Buffer.alloc(0)).replace(':', '/');
        await rm(bench.file(`image/blobs/${layer}`));
      },
      code: 'IMAGE_INVALID',
      text: /has no blobs\/sha256/,
    },
    {
      what: 'a changed configuration',
      make: async () => {
        const files = ociFiles([{ image: image('x') }]);
        await writeOciLayout(bench.file('image'), [{ image: image('x') }]);
        const [path] = [...files].find(([, bytes]) => bytes.includes('"rootfs"')) ?? [''];
        await writeFile(bench.file(`image/${path}`), (files.get(path) ?? '').toString().replace('/app', '/bad'));
      },
      code: 'IMAGE_DIGEST_MISMATCH',
      text: /configuration/,
    },
    {
      what: 'JSON that is none',
      make: async () => {
        await writeOciLayout(bench.file('image'), [{ image: image('x') }]);
        await writeFile(bench.file('image/index.json'), '{');
      },
      code: 'IMAGE_INVALID',
      text: /index\.json .* is not JSON/,
    },
    {
      what: 'an archive with two images',
      app: 'docker-archive:two.tar',
      make: async () => {
        const two = [
          { Config: 'a', Layers: [], RepoTags: ['a:1'] },
          { Config: 'b', Layers: [], RepoTags: ['b:1'] },
        ];
        await writeFile(bench.file('two.tar'), tar([{ name: 'manifest.json', content: JSON.stringify(two) }]));
      },
      code: 'IMAGE_INVALID',
      text: /2 images \(a:1, b:1\)/,
    },
    {
      what: 'a compressed archive',
      app: 'docker-archive:text.tar',
      make: () => writeFile(bench.file('text.tar'), 'this is no tar at all'.repeat(100)),
      code: 'IMAGE_INVALID',
      text: /text\.tar/,
    },
    {
      what: 'neither ENTRYPOINT nor CMD',
      make: () =>
        writeOciLayout(bench.file('image'), [{ image: image('x', { config: { Entrypoint: [], Env: ['A=1'] } }) }]),
      code: 'IMAGE_NO_COMMAND',
      text: /neither ENTRYPOINT nor CMD/,
    },
    {
      what: 'a relative WORKDIR',
      make: () =>
        writeOciLayout(bench.file('image'), [{ image: image('x', { config: { Cmd: ['a'], WorkingDir: 'srv' } }) }]),
      code: 'IMAGE_INVALID',
      text: /workdir/,
    },
  ];

  for (const { what, app = 'oci:./image', make, code, text } of refused) {
    it(`refuses ${what}: ${code}`, async () => {
      await make();
      await assert.rejects(bench.build({ manifest: manifest(app) }), refusal(code, text));
      assert.deepEqual(
        (await bench.leavings()).filter((name) => !name.endsWith('.tar')),
        [],
      );
    });
  }
});
