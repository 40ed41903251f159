import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { ManifestError } from '@enclaver/manifest';
import { Bench, manifest, refusal } from './support.ts';

describe('build: bad input', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.create();
    await bench.writeImage([{ name: 'app' }]);
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  it('passes on what is wrong with the manifest, with its place', async () => {
    const text = manifest().replace('name: test', 'nmae: test');
    await assert.rejects(bench.build({ manifest: text }), (error) => {
      assert.ok(error instanceof ManifestError);
      assert.match(error.message, /enclaver\.yaml:2:1: /);
      return true;
    });
    assert.deepEqual(await bench.leavings(), []);
  });

  const sections: [string, string, string, number][] = [
    [
      'spire',
      '# spire: none\nspire: { server_addr: "https://s:8081", ca_cert: c, trust_domain: t, svid_dir: /d }\n',
      'spire',
      7,
    ],
  ];
  for (const [section, text, word, line] of sections) {
    it(`says that ${section} is not in this release, and on which line it stands`, async () => {
      await assert.rejects(
        bench.build({ manifest: manifest('oci:./image', text) }),
        refusal('NOT_IN_THIS_RELEASE', new RegExp(`^enclaver\\.yaml:${line}: .*${word}`)),
      );
      assert.deepEqual(await bench.leavings(), []);
    });
  }

  it('refuses to build with another runtime image in silence', async () => {
    const text = manifest('oci:./image\n  supervisor: registry.example.com/odyn:1');
    await assert.rejects(bench.build({ manifest: text }), refusal('NOT_IN_THIS_RELEASE', /enclaver\.yaml:6: /));
  });

  it('says which part of the runtime is missing and how to make it', async () => {
    for (const part of ['runtime.json', 'kernel', 'cmdline', 'ramdisk0.cpio']) {
      const bytes = await readFile(bench.file(`runtime/x86_64/${part}`));
      await rm(bench.file(`runtime/x86_64/${part}`));
      await assert.rejects(bench.build(), refusal('RUNTIME_MISSING', new RegExp(part)));
      await writeFile(bench.file(`runtime/x86_64/${part}`), bytes);
    }
    await bench.build();
  });

  it('refuses a runtime whose ramdisk is not the one described', async () => {
    const ramdisk = await readFile(bench.file('runtime/x86_64/ramdisk0.cpio'));
    const changed = Buffer.from(ramdisk.toString('latin1').replace('not a real init', 'not a fake init'), 'latin1');
    await writeFile(bench.file('runtime/x86_64/ramdisk0.cpio'), changed);
    await assert.rejects(bench.build(), refusal('RUNTIME_INVALID', /init in ramdisk0\.cpio/));
    assert.deepEqual(await bench.leavings(), []);
  });

  it('says that the folder for the EIF is missing, and keeps an EIF that was there when a build fails', async () => {
    await assert.rejects(bench.build({ eifOnly: bench.file('no/app.eif') }), refusal('OUTPUT_INVALID', /\/no /));
    await mkdir(bench.file('folder'));
    await assert.rejects(bench.build({ eifOnly: bench.file('folder') }), refusal('OUTPUT_INVALID', /folder/));
    await rm(bench.file('folder'), { recursive: true });
    await writeFile(bench.file('app.eif'), 'older');
    await bench.writeImage([{ name: '../out' }]);
    await assert.rejects(bench.build(), refusal('IMAGE_PATH_ESCAPE'));
    assert.equal(await readFile(bench.file('app.eif'), 'utf8'), 'older');
    assert.deepEqual(await bench.leavings(), ['app.eif']);
  });

  it('says what to do without an engine', async () => {
    const before = process.env.DOCKER_HOST;
    process.env.DOCKER_HOST = `unix://${bench.file('no.sock')}`;
    try {
      await assert.rejects(
        bench.build({ manifest: manifest('127.0.0.1:1/app:1.0') }),
        refusal('PULL_FAILED', /no Docker Engine/),
      );
      const release = { manifest: manifest(), eifOnly: undefined } as const;
      await assert.rejects(bench.build({ ...release }), refusal('ENGINE_UNREACHABLE'));
    } finally {
      if (before === undefined) delete process.env.DOCKER_HOST;
      else process.env.DOCKER_HOST = before;
    }
    assert.deepEqual(await bench.leavings(), []);
  });
});
