import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { docker } from '../stack/engine.ts';
import { fencedBlocks } from './commands/markdown.ts';

/** A package manager that installs what it is asked for as an empty program, and notes how it was asked. */
const manager = (program: string, makes: string, ...more: string[]): string[] => [
  'FROM enclaver-test/busybox:local',
  `RUN mkdir -p /usr/bin /var/lib/apt/lists && printf '#!/bin/sh\\necho "$0 $*" >>/asked; echo made >${makes}\\n' >/bin/${program} \\`,
  `  && chmod +x /bin/${program}`,
  ...more,
];

describe('docs/nitro.md: the Dockerfile of an image with nitro-cli', function () {
  this.timeout(120_000);

  const tag = (name: string): string => `enclaver-test/${name}-${process.pid}:local`;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'enclaver-dockerfile-'));
  });

  after(async () => {
    await docker(['image', 'rm', '--force', ...['amazon', 'release', 'supervisor', 'nitro'].map(tag)]);
    await rm(folder, { recursive: true });
  });

  async function build(name: string, dockerfile: string, ...more: string[]): Promise<void> {
    await writeFile(join(folder, 'Dockerfile'), dockerfile);
    await docker(['buildx', 'build', '--load', '--tag', tag(name), ...more, folder]);
  }

  // The packages of Amazon Linux and of Debian are not to be had here: docs/hardware-checklist.md says who tries that
  it('is built as it stands there, and with the image of the supervisor, from stand-ins', async () => {
    await build('amazon', manager('dnf', '/usr/bin/nitro-cli').join('\n'));
    await build('release', manager('apt-get', '/installed').join('\n'));
    await build('supervisor', manager('apt-get', '/installed', 'USER 1000:1000').join('\n'));
    const page = await readFile(new URL('../../docs/nitro.md', import.meta.url), 'utf8');
    const [block, ...more] = fencedBlocks(page).filter(({ language }) => language === 'Dockerfile');
    assert.ok(block !== undefined && more.length === 0);
    const amazon = 'public.ecr.aws/amazonlinux/amazonlinux:2023';
    const images = { 'enclaver/enclaver:0.1.0': 'release', 'enclaver/supervisor:0.1.0': 'supervisor' };
    for (const [image, by] of Object.entries(images)) {
      const dockerfile: string = block.text.replace('enclaver/enclaver:0.1.0', image);
      const froms: (string | undefined)[] = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, from]) => from);
      assert.deepEqual(froms, [amazon, image]);
      const standIns = Object.entries({ [amazon]: 'amazon', [image]: by });
      const contexts = standIns.map(([from, name]) => `--build-context=${from}=docker-image://${tag(name)}`);
      await build('nitro', dockerfile, ...contexts);
      const look =
        'cat /usr/bin/nitro-cli /asked; ls -d /run/nitro_enclaves /var/log/nitro_enclaves; ls /var/lib/apt/lists';
      assert.deepEqual((await docker(['run', '--rm', tag('nitro'), 'sh', '-c', look])).trim().split('\n'), [
        'made',
        '/bin/apt-get update',
        '/bin/apt-get install -y --no-install-recommends libssl3t64',
        '/run/nitro_enclaves',
        '/var/log/nitro_enclaves',
      ]);
    }
  });
});
