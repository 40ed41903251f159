import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { readEif } from '@enclaver/eif';
import { launchDescriptionSchema } from '@enclaver/wire';
import { type ImageSpec, writeOciLayout } from '../../../test/images/image.ts';
import { tar } from '../../../test/images/tar.ts';
import { Bench, manifest, readRamdisk } from './support.ts';

const layer = tar([{ name: 'app', mode: 0o755, content: 'binary' }]);
const config: ImageSpec['config'] = {
  Entrypoint: ['/app', 'run'],
  Cmd: ['--fast', 'line\nbreak'],
  Env: ['A=1', 'EMPTY=', 'LINES=a\nb'],
  User: 'www:data',
  WorkingDir: '/srv',
  StopSignal: 'quit',
};

describe('build: image to EIF', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.create();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  it('puts the tree, the manifest and the launch description into ramdisk 1, sorted by path bytes, launch.json last', async () => {
    await writeOciLayout(bench.file('image'), [{ image: { layers: [layer], config } }]);
    const text = manifest('oci:./image', '# exact bytes: ü \t\r\n');
    const result = await bench.build({ manifest: text });
    const entries = await readRamdisk(bench.file('app.eif'));
    assert.deepEqual(
      entries.map(({ path, mode }) => `${path} ${mode}`),
      [
        'rootfs 40755',
        'rootfs/app 100755',
        'rootfs/dev 40755',
        'rootfs/etc 40755',
        'rootfs/etc/enclaver 40755',
        'rootfs/etc/enclaver/enclaver.yaml 100644',
        'rootfs/proc 40755',
        'rootfs/run 40755',
        'rootfs/sys 40755',
        'rootfs/tmp 41777',
        'launch.json 100644',
      ],
    );
    const kept = entries.find(({ path }) => path.endsWith('enclaver.yaml'))?.data ?? '';
    assert.equal(Buffer.from(kept, 'latin1').toString('utf8'), text);
    const launch = launchDescriptionSchema.parse(JSON.parse(entries.at(-1)?.data ?? ''));
    assert.deepEqual(launch, {
      version: 1,
      argv: ['/app', 'run', '--fast', 'line\nbreak'],
      env: ['A=1', 'EMPTY=', 'LINES=a\nb'],
      user: 'www:data',
      workdir: '/srv',
      stopSignal: 'SIGQUIT',
    });
    const bytes = await readFile(bench.file('app.eif'));
    assert.deepEqual(result.eif, {
      path: bench.file('app.eif'),
      size: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    });
    assert.deepEqual(await bench.leavings(), ['app.eif']);
  });

  it('writes an EIF that the strict reader measures alike, with metadata that names image and runtime', async () => {
    await writeOciLayout(bench.file('image'), [{ image: { layers: [layer], config } }]);
    const result = await bench.build();
    const eif = await readEif(bench.file('app.eif'));
    assert.deepEqual(eif.measurements, result.measurements);
    assert.equal(eif.cmdline, 'console=ttyS0');
    assert.deepEqual(eif.metadata, {
      ImageName: 'test',
      ImageVersion: result.sources.app.id.slice('sha256:'.length),
      BuildMetadata: {
        BuildTime: '1970-01-01T00:00:00+00:00',
        BuildTool: 'enclaver',
        BuildToolVersion: '0.0.0-test',
        OperatingSystem: 'Linux',
        KernelVersion: '6.0-test',
      },
      DockerInfo: null,
      CustomMetadata: null,
    });
    assert.match(result.sources.app.id, /^sha256:[0-9a-f]{64}$/);
    assert.equal(result.sources.app.name, 'oci:./image');
  });
});
