import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { digestOf, ociFiles, writeOciLayout } from '../../../../test/images/image.ts';
import { tar } from '../../../../test/images/tar.ts';
import type { BuilderErrorCode } from '../../src/builder-error.ts';
import { Bench, manifest, readRamdisk, refusal } from '../support.ts';
import { type Descriptor, Layout, layer, OCI, spec } from './layout.ts';
import { refuses as refusesFrom } from './refuses.ts';

interface Case {
  what: string;
  /** Writes the layout with its index. */
  make: (layout: Layout) => object | string;
  code?: BuilderErrorCode;
  text: RegExp;
}

const escapes = ['sha256:../../x', 'sha256:/etc/passwd', '../../etc:passwd', 'sha512:00', `SHA256:${'0'.repeat(64)}`];

const layouts: Case[] = [
  ...escapes.map((digest) => ({
    what: `an index that names the digest ${digest}`,
    make: (layout: Layout) => layout.index({ ...layout.manifest(), digest }),
    text: /must be sha256: and 64 hexadecimal digits/,
  })),
  ...escapes.map((digest) => ({
    what: `a manifest that names the layer digest ${digest}`,
    make: (layout: Layout) =>
      layout.index(layout.manifest({ layers: [{ mediaType: `${OCI}.layer.v1.tar`, digest, size: 1 }] })),
    text: /must be sha256: and 64 hexadecimal digits/,
  })),
  {
    what: 'a manifest that names a configuration outside',
    make: (layout) => layout.index(layout.manifest({ config: { digest: 'sha256:../../../etc/passwd' } })),
    text: /must be sha256: and 64 hexadecimal digits/,
  },
  {
    what: 'a negative size',
    make: (layout) => layout.index({ ...layout.manifest(), size: -1 }),
    text: /size/,
  },
  {
    what: 'indexes within indexes, ten deep',
    make: (layout) => {
      let inner: object = layout.manifest();
      for (let depth = 0; depth < 10; depth += 1) inner = layout.add(layout.index(inner), `${OCI}.index.v1+json`);
      return layout.index(inner);
    },
    text: /deeper than 4/,
  },
  {
    what: 'an index that multiplies: four levels, each naming the next 1,024 times, and no image',
    make: (layout) => {
      let inner: Descriptor = layout.add(layout.index(), `${OCI}.index.v1+json`);
      for (let depth = 0; depth < 3; depth += 1) {
        inner = layout.add(layout.index(...Array<object>(1024).fill(inner)), `${OCI}.index.v1+json`);
      }
      return layout.index(...Array<object>(1024).fill(inner));
    },
    text: /more than 1024/,
  },
  {
    what: 'an index of 10,000 images',
    make: (layout) => layout.index(...Array<object>(10_000).fill(layout.manifest())),
    text: /<=1024 items/,
  },
  {
    what: 'an image of 10,000 layers',
    make: (layout) =>
      layout.index(layout.manifest({ layers: Array<object>(10_000).fill(layout.add(layer, `${OCI}.layer.v1.tar`)) })),
    text: /<=1024 items/,
  },
  {
    what: 'a million layer digests that are none, without an error text of that length',
    make: (layout) => layout.index(layout.manifest({ configFile: { rootfs: { diff_ids: Array(1_000_000).fill(1) } } })),
    text: /^.{1,600}$/s,
  },
  {
    what: 'a million words of a command that are none',
    make: (layout) => layout.index(layout.manifest({ configFile: { config: { Env: Array(1_000_000).fill(1) } } })),
    text: /^.{1,600}$/s,
  },
  {
    what: 'more layers than layer digests',
    make: (layout) => {
      const each = layout.add(layer, `${OCI}.layer.v1.tar`);
      return layout.index(layout.manifest({ layers: [each, each] }));
    },
    text: /2 layers and 1 layer digests/,
  },
  {
    what: 'an encrypted layer',
    make: (layout) => layout.index(layout.manifest({ layers: [layout.add(layer, `${OCI}.layer.v1.tar+encrypted`)] })),
    text: /no container image/,
  },
  {
    what: 'a part of a made-up type',
    make: (layout) => layout.index(layout.manifest({ config: { mediaType: 'application/vnd.example.chart+json' } })),
    text: /vnd\.example\.chart/,
  },
  {
    what: 'a manifest of schema 1',
    make: (layout) =>
      layout.index(
        layout.add({ schemaVersion: 1, fsLayers: [] }, 'application/vnd.docker.distribution.manifest.v1+prettyjws'),
      ),
    code: 'IMAGE_NOT_FOUND',
    text: /holds no image/,
  },
  {
    what: 'a manifest of schema 1 that calls itself one of schema 2',
    make: (layout) => layout.index(layout.add({ schemaVersion: 1, fsLayers: [] }, `${OCI}.manifest.v1+json`)),
    text: /malformed/,
  },
  {
    what: 'an artifact without an image',
    make: (layout) => layout.index(layout.add({ blobs: [] }, 'application/vnd.oci.artifact.manifest.v1+json')),
    code: 'IMAGE_NOT_FOUND',
    text: /holds no image/,
  },
  {
    what: 'brackets without end',
    make: () => '['.repeat(4_000_000),
    text: /is not JSON/,
  },
  {
    what: 'an index above its bound',
    make: () => ' '.repeat(4 * 2 ** 20 + 1),
    text: /4194305 bytes; at most 4194304/,
  },
  {
    what: 'a manifest whose blob is another',
    make: (layout) => layout.index({ ...layout.manifest(), digest: layout.add('{}', 'x').digest }),
    text: /malformed/,
  },
];

describe('hostile image layouts', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.create();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  const refuses = (code: BuilderErrorCode, text: RegExp): Promise<void> => refusesFrom(bench, code, text);

  for (const { what, make, code = 'IMAGE_INVALID', text } of layouts) {
    it(`refuses ${what}`, async () => {
      const layout = new Layout();
      await layout.write(bench.file('image'), make(layout));
      await refuses(code, text);
    });
  }

  it('never fetches a layer that a manifest says is elsewhere', async () => {
    const asked: string[] = [];
    await using server = createServer((request, answer) => {
      asked.push(request.url ?? '');
      answer.end(layer);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const urls = [`http://127.0.0.1:${(server.address() as AddressInfo).port}/layer`];
    const types: [string, RegExp][] = [
      [`${OCI}.layer.nondistributable.v1.tar`, /has no blobs\/sha256/],
      [`${OCI}.layer.v1.tar`, /has no blobs\/sha256/],
      ['application/vnd.docker.image.rootfs.foreign.diff.tar', /no container image/],
    ];
    for (const [mediaType, text] of types) {
      const layout = new Layout();
      const foreign = { mediaType, digest: digestOf(layer), size: layer.length, urls };
      await layout.write(bench.file('image'), layout.index(layout.manifest({ layers: [foreign] })));
      await refuses('IMAGE_INVALID', text);
    }
    assert.deepEqual(asked, []);
  });

  it('is not changed by keys that name a prototype', async () => {
    const layout = new Layout();
    const hostile = '"__proto__":{"polluted":"yes"},"constructor":{"prototype":{"polluted":"yes"}}';
    const config = layout.add(
      `{"architecture":"amd64","os":"linux",${hostile},"config":{"Cmd":["/app"],"Volumes":{"__proto__":{}},${hostile}},` +
        `"rootfs":{"diff_ids":["${digestOf(layer)}"],${hostile}}}`,
      `${OCI}.config.v1+json`,
    );
    const image = layout.manifest({ config });
    await layout.write(
      bench.file('image'),
      `{${hostile},"manifests":[{"mediaType":"${image.mediaType}","digest":"${image.digest}","size":1,"annotations":{"__proto__":"x"}}]}`,
    );
    await bench.build();
    assert.equal((Object.prototype as { polluted?: string }).polluted, undefined);
  });

  it('shows names of an image without what a terminal would obey', async () => {
    const layout = new Layout();
    const annotations = { 'org.opencontainers.image.ref.name': '\x1b]0;owned\x07\u009b2J\u202e' };
    await layout.write(bench.file('image'), layout.index({ ...layout.manifest(), annotations }));
    await assert.rejects(bench.build({ manifest: manifest('oci:image:other') }), (error: Error) => {
      assert.match(error.message, /\\x1b\]0;owned\\x07\\u\{9b\}2J/);
      assert.doesNotMatch(error.message, /[\p{Cc}\p{Cf}]/u);
      return refusal('IMAGE_NOT_FOUND')(error);
    });
  });

  /** Puts something else in the place of a file of a layout. */
  async function replaced(path: string, by: (path: string) => Promise<unknown>): Promise<void> {
    await writeOciLayout(bench.file('image'), [{ image: spec }]);
    await rm(bench.file(`image/${path}`));
    await by(bench.file(`image/${path}`));
  }
  const layerPath = `blobs/${digestOf(layer).replace(':', '/')}`;
  const configPath = [...ociFiles([{ image: spec }])].find(([, bytes]) => bytes.includes('"rootfs"'))?.[0] ?? '';

  for (const path of ['oci-layout', 'index.json', configPath, layerPath]) {
    const shown = path === layerPath ? 'a layer' : path === configPath ? 'the configuration' : path;
    it(`does not wait for a pipe in the place of ${shown}, nor read a folder or a device`, async () => {
      await replaced(path, (at) => promisify(execFile)('mkfifo', [at]));
      await refuses('IMAGE_INVALID', /is no file/);
      await replaced(path, (at) => mkdir(at));
      await refuses('IMAGE_INVALID', /is no file/);
      await replaced(path, (at) => symlink('/dev/zero', at));
      await refuses('IMAGE_INVALID', /is no file/);
      await replaced(path, (at) => symlink(at, at));
      await refuses('IMAGE_INVALID', /cannot be opened: ELOOP/);
    });
  }

  it('follows a symlink in the place of a blob, since the digest says what the bytes must be', async () => {
    await replaced(layerPath, async (at) => {
      await writeFile(bench.file('elsewhere.tar'), layer);
      await symlink(bench.file('elsewhere.tar'), at);
    });
    await bench.build();
    assert.equal((await readRamdisk(bench.file('app.eif'))).find(({ path }) => path === 'rootfs/app')?.data, 'x');
    await rm(bench.file('app.eif'));
    await replaced(configPath, (at) => symlink('/etc/passwd', at));
    await refuses('IMAGE_DIGEST_MISMATCH', /configuration/);
  });

  it('shows nothing of a file that a layout links to', async () => {
    await writeFile(bench.file('secret.tar'), 'hunter2 is the password');
    await replaced('index.json', (at) => symlink(bench.file('secret.tar'), at));
    await assert.rejects(bench.build(), (error: Error) => {
      for (let each: unknown = error; each instanceof Error; each = each.cause)
        assert.doesNotMatch(each.message, /hunter/);
      return refusal('IMAGE_INVALID', /is not JSON/)(error);
    });
  });

  it('uses the bytes that it checked, whatever becomes of the folder meanwhile', async () => {
    await writeOciLayout(bench.file('image'), [{ image: spec }]);
    const evil = tar([{ name: 'app', content: 'y' }]);
    await bench.build({
      onProgress: ({ stage }) => {
        if (stage !== 'assemble') return;
        void writeFile(bench.file(`image/${layerPath}`), evil);
      },
    });
    assert.equal((await readRamdisk(bench.file('app.eif'))).find(({ path }) => path === 'rootfs/app')?.data, 'x');
    await rm(bench.file('app.eif'));
    await writeFile(bench.file('evil'), evil);
    await rename(bench.file('evil'), bench.file(`image/${layerPath}`));
    assert.deepEqual(await readFile(bench.file(`image/${layerPath}`)), evil);
    await refuses('IMAGE_DIGEST_MISMATCH', /layer 0/);
  });
});
