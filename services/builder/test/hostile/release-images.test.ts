import assert from 'node:assert/strict';
import { open, readFile } from 'node:fs/promises';
import { type Arch, readEif, type SectionType, signEif } from '@enclaver/eif';
import { SectionWriter } from '../../../../libs/eif/src/section-writer.ts';
import { p384, signing } from '../../../../libs/eif/test/signing.ts';
import { type TarEntry, tar } from '../../../../test/images/tar.ts';
import { DockerRegistry } from '../../../../test/stack/docker-registry.ts';
import type { BuildResult } from '../../src/build-options.ts';
import { extractEif } from '../../src/extract.ts';
import { type VerifyOptions, verifyBuild } from '../../src/rebuild/verify-build.ts';
import { publishImages } from '../publish.ts';
import { Bench, manifest, refusal } from '../support.ts';

const EIF = 'enclave/application.eif';
const MANIFEST = 'enclave/enclaver.yaml';

/** Release images that no `enclaver build` has made; there is no engine, `DOCKER_HOST` leads nowhere. */
describe('a hostile release image', () => {
  let registry: DockerRegistry;
  let bench: Bench;
  let honest: { built: BuildResult; manifest: string; eif: Buffer };
  const saved = { ...process.env };

  before(async () => {
    registry = await DockerRegistry.start();
  });

  after(() => registry[Symbol.asyncDispose]());

  beforeEach(async () => {
    bench = await Bench.create();
    process.env.DOCKER_HOST = `unix://${bench.file('no.sock')}`;
    process.env.DOCKER_CONFIG = bench.file('docker');
    const app = { layers: [tar([{ name: 'app', content: 'x' }])], config: { Cmd: ['/app'] } };
    await publishImages(registry.host, 'app:1', [app]);
    const text = manifest(`${registry.host}/app:1`);
    const built = await bench.build({ manifest: text });
    honest = { built, manifest: text, eif: await readFile(bench.file('app.eif')) };
  });

  afterEach(async () => {
    for (const name of ['DOCKER_HOST', 'DOCKER_CONFIG']) {
      if (saved[name] === undefined) delete process.env[name];
      else process.env[name] = saved[name];
    }
    await bench[Symbol.asyncDispose]();
  });

  /** The entries of the layer of a release image. */
  const enclave = (eif = honest.eif): TarEntry[] => [
    { name: 'enclave/' },
    { name: EIF, content: eif },
    { name: MANIFEST, content: honest.manifest },
  ];

  const labels = (): Record<string, string> => ({
    'io.enclaver.version': '0.0.0-test',
    'io.enclaver.platform': 'linux/amd64',
    'io.enclaver.source.name': `${registry.host}/app:1`,
    'io.enclaver.source.id': honest.built.sources.app.id,
  });

  /** Publishes these layers as what the honest build gave. */
  function release(...layers: TarEntry[][]): Promise<string> {
    return labelled(labels(), ...layers);
  }

  async function labelled(Labels: Record<string, string>, ...layers: TarEntry[][]): Promise<string> {
    const base = tar([{ name: 'bin/run', mode: 0o755 }]);
    const image = {
      layers: [base, ...layers.map((layer) => tar(layer))],
      config: { Labels },
      compression: 'gzip',
    } as const;
    await publishImages(registry.host, 'release:1', [image]);
    return `${registry.host}/release:1`;
  }

  const verify = (image: string, more: Partial<VerifyOptions> = {}) =>
    verifyBuild({ dataDir: bench.dataDir, runtime: bench.file('runtime'), contextDir: bench.path, image, ...more });

  describe('with an EIF that is signed', () => {
    /** The honest EIF with its sections in this order, under this header, and signed. */
    async function signed(
      order: readonly SectionType[],
      header: { arch?: Arch; defaultMem?: bigint; defaultCpus?: bigint } = {},
    ): Promise<Buffer> {
      const eif = await readEif(bench.file('app.eif'));
      await using file = await open(bench.file('signed.eif'), 'w');
      const writer = new SectionWriter(file);
      for (const type of order) {
        for (const section of eif.sections) if (section.type === type) await writer.append(type, eif.data(section));
      }
      await writer.finish({ ...eif.header, ...header });
      await signEif(bench.file('signed.eif'), signing(p384));
      return await readFile(bench.file('signed.eif'));
    }

    const ORDER = ['kernel', 'cmdline', 'metadata', 'ramdisk'] as const;

    it('verifies where the signature is all that was added', async () => {
      const { identical, recorded } = await verify(await release(enclave(await signed(ORDER))));
      assert.equal(identical, true);
      assert.match(recorded.measurements.PCR8 ?? '', /^[0-9a-f]{96}$/);
    });

    it('does not verify where the same sections measure otherwise', async () => {
      const eif = await signed(['cmdline', 'kernel', 'metadata', 'ramdisk']);
      const { identical, recorded, rebuilt, differences } = await verify(await release(enclave(eif)));
      assert.notEqual(recorded.measurements.PCR0, rebuilt.measurements.PCR0);
      assert.equal(identical, false);
      assert.match(differences.join('\n'), /PCR0: differs/);
    });

    for (const [field, header] of [
      ['arch', { arch: 'aarch64' }],
      ['default memory', { defaultMem: 1n }],
      ['default cpus', { defaultCpus: 99n }],
    ] as const) {
      it(`does not verify with another header: ${field}`, async () => {
        const { identical, differences } = await verify(await release(enclave(await signed(ORDER, header))));
        assert.equal(identical, false);
        assert.match(differences.join('\n'), new RegExp(`^ {2}${field}: `, 'm'));
      });
    }
  });

  const evil = 'not the file that is measured';
  const over: Record<string, TarEntry[]> = {
    'the file once more': [{ name: EIF, content: evil }],
    'the file in a folder that a symlink names': [
      { name: 'x', link: 'enclave' },
      { name: 'x/application.eif', content: evil },
    ],
    'a symlink in its place': [{ name: EIF, link: '/evil' }],
    'a hard link in its place': [
      { name: 'evil', content: evil },
      { name: EIF, type: 'hard-link', link: 'evil' },
    ],
    'a folder in its place': [{ name: `${EIF}/` }],
    'a symlink in the place of its folder': [{ name: 'enclave', link: '/evil' }],
    'a whiteout of it': [{ name: 'enclave/.wh.application.eif' }],
    'a whiteout of its folder': [{ name: '.wh.enclave' }],
    'an opaque marker in its folder': [{ name: 'enclave/.wh..wh..opq' }],
    'an opaque marker in the root': [{ name: '.wh..wh..opq' }],
  };
  for (const [what, entries] of Object.entries(over)) {
    it(`is refused with ${what}, in the same layer or above`, async () => {
      for (const layers of [[[...enclave(), ...entries]], [enclave(), entries]]) {
        const image = await release(...layers);
        await assert.rejects(verify(image), refusal('IMAGE_INVALID', /\/enclave\/application\.eif/));
        await assert.rejects(extractEif(image, { dataDir: bench.dataDir }), refusal('IMAGE_INVALID'));
      }
      assert.deepEqual(await bench.leavings(), ['app.eif']);
    });
  }

  it('is refused without a folder of its own for the file: layers below could lead it elsewhere', async () => {
    const image = await release([{ name: 'enclave', link: 'other' }], enclave().slice(1), [
      { name: 'other', link: 'evil' },
    ]);
    await assert.rejects(extractEif(image, { dataDir: bench.dataDir }), refusal('IMAGE_INVALID', /folder/));
  });

  it('is as good as another where its layers do the files no harm', async () => {
    const other = enclave(Buffer.from(evil));
    const image = await release(other, enclave(), [{ name: 'etc/' }, { name: 'etc/more', content: 'x' }]);
    assert.equal((await verify(image)).identical, true);
    const { sha256 } = await extractEif(image, { dataDir: bench.dataDir });
    assert.equal(sha256, honest.built.eif.sha256);
  });

  for (const label of ['version', 'source.name']) {
    it(`tells nothing to a terminal by its label ${label}`, async () => {
      for (const text of ['x\nVerified', 'x\x1b[8m', 'x\u202e', 'x'.repeat(5000)]) {
        const image = await labelled({ ...labels(), [`io.enclaver.${label}`]: text }, enclave());
        await assert.rejects(verify(image), refusal('IMAGE_NOT_RECORDED'));
      }
    });
  }

  it('has nothing of its source told before that is known to be a name', async () => {
    const told: string[] = [];
    const from = 'x\nVerified\x1b[8m';
    const building = bench.build({ from, onProgress: ({ text = '' }) => told.push(text) });
    await assert.rejects(building, { name: 'ImageSourceError' });
    assert.ok(!told.includes(from), told.join());
  });

  it('is not compared where its manifest is not UTF-8', async () => {
    const [folder, eif] = enclave();
    const content = Buffer.concat([Buffer.from(`${honest.manifest}# `), Buffer.from([0xe9, 0x0a])]);
    const image = await release([folder, eif, { name: MANIFEST, content }].filter((entry) => entry !== undefined));
    await assert.rejects(verify(image), { code: 'MANIFEST_YAML', message: /not UTF-8/ });
  });

  it('is not unpacked without bound, in whichever layer a bomb lies', async () => {
    const bomb = [{ name: 'zeros', content: Buffer.alloc(16 << 20) }];
    for (const layers of [[[...enclave(), ...bomb]], [enclave(), bomb]]) {
      const image = await release(...layers);
      const bound = { dataDir: bench.dataDir, maxUnpackedBytes: 8 << 20 };
      await assert.rejects(extractEif(image, bound), refusal('IMAGE_TOO_LARGE', /unpacked/));
      await assert.rejects(verify(image, bound), refusal('IMAGE_TOO_LARGE', /unpacked/));
    }
    assert.deepEqual(await bench.leavings(), ['app.eif']);
  });
});
