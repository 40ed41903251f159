import { execFile } from 'node:child_process';
import { open, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { digestOf, dockerArchive } from '../../../../test/images/image.ts';
import { tar } from '../../../../test/images/tar.ts';
import { Bench, manifest } from '../support.ts';
import { json, layer, spec } from './layout.ts';
import { refuses as refusesFrom } from './refuses.ts';

describe('hostile image archives', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.create();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  const refuses = (text: RegExp): Promise<void> => refusesFrom(bench, 'IMAGE_INVALID', text, 'docker-archive:app.tar');

  it('refuses a pipe in the place of an archive', async () => {
    await promisify(execFile)('mkfifo', [bench.file('app.tar')]);
    await refuses(/is no file/);
  });

  for (const path of ['../../etc/passwd', '/etc/passwd', '..', '.', '']) {
    it(`looks for ${JSON.stringify(path)} in the archive only, as configuration, layer and link`, async () => {
      const config = json({
        architecture: 'amd64',
        os: 'linux',
        config: { Cmd: ['a'] },
        rootfs: { diff_ids: [digestOf(layer)] },
      });
      const write = (Config: string, Layers: string[], more: Parameters<typeof tar>[0] = []): Promise<void> =>
        writeFile(
          bench.file('app.tar'),
          tar([
            { name: 'config.json', content: config },
            { name: 'manifest.json', content: JSON.stringify([{ Config, Layers }]) },
            ...more,
          ]),
        );
      await write(path, []);
      await refuses(/has no |malformed/);
      await write('config.json', [path]);
      await refuses(/has no |malformed/);
      for (const type of ['symlink', 'hard-link'] as const) {
        await write('config.json', ['layer.tar'], [{ name: 'layer.tar', type, link: path }]);
        await refuses(/has no layer\.tar/);
      }
    });
  }

  it('refuses links of an archive that lead in a circle', async () => {
    const files = [
      { name: 'manifest.json', content: '[{"Config":"a","Layers":[]}]' },
      { name: 'a', link: 'b' },
      { name: 'b', link: 'a' },
    ];
    await writeFile(bench.file('app.tar'), tar(files));
    await refuses(/has no a$/);
  });

  it('refuses an archive of too many members, and of members with names of megabytes', async () => {
    await writeFile(bench.file('app.tar'), tar(Array.from({ length: 20_000 }, (_, n) => ({ name: `m${n}` }))));
    await refuses(/more than 16384 members/);
    await writeFile(bench.file('app.tar'), tar([{ name: 'n/'.repeat(100_000) }]));
    await refuses(/more than 4088 bytes/);
  });

  it('takes an archive with a member of 5 GiB, which a layer may be and a file of an image may not', async () => {
    const whole = dockerArchive(spec);
    const large = tar([{ name: 'other/layer.tar', announce: 5 * 2 ** 30 }], { open: true });
    await using file = await open(bench.file('app.tar'), 'w');
    await file.write(large, 0, large.length, 0);
    await file.write(whole, 0, whole.length, large.length + 5 * 2 ** 30);
    await bench.build({ manifest: manifest('docker-archive:app.tar') });
  });
});
