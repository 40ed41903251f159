import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import Dockerode from 'dockerode';
import { dockerArchive } from '../../../../test/images/image.ts';
import { type TarEntry, tar } from '../../../../test/images/tar.ts';
import { Engine } from '../../src/image/engine.ts';
import { StreamInput } from '../../src/tar/byte-input.ts';
import { readTar } from '../../src/tar/tar-read.ts';
import { Bench, manifest, readRamdisk } from '../support.ts';

const long = 'long-name-'.repeat(15);

/**
 * Everything that a layer can do to the ones below, in one image; written as engines write layers, with the folders on the
 * way to a change and a hard link's mode. What else there may be, engines unpack each in its own way.
 */
const layers: TarEntry[][] = [
  [
    { name: 'keep', content: '1', mode: 0o4711, uid: 7, gid: 8 },
    { name: 'change', content: 'old' },
    { name: 'drop', content: 'x' },
    { name: 'dir/', mode: 0o2750, uid: 3 },
    { name: 'dir/a', content: 'a' },
    { name: 'dir/b/', mode: 0o1777 },
    { name: 'dir/b/c', content: 'c' },
    { name: 'opaque/' },
    { name: 'opaque/old/' },
    { name: 'opaque/old/x', content: 'x' },
    { name: 'remade/', mode: 0o700 },
    { name: 'remade/old' },
    { name: 'file-then-dir' },
    { name: 'dir-then-file/' },
    { name: 'dir-then-file/in' },
    { name: 'link-then-dir', link: 'dir' },
    { name: 'usr/lib/' },
    { name: 'lib', link: 'usr/lib' },
    { name: 'hard-1', content: 'hard', mode: 0o755 },
    { name: 'hard-2', type: 'hard-link', link: 'hard-1', mode: 0o755 },
    { name: 'hard-3', type: 'hard-link', link: 'hard-1', mode: 0o755 },
    { name: `${long}/${long}/file`, content: 'long' },
    { name: 'fifo', type: 'fifo', mode: 0o620 },
    { name: 'zero', type: 'char-device', major: 1, minor: 5, mode: 0o666 },
    { name: 'dangling', link: '../../nowhere' },
    { name: 'dir-x', content: 'sorts before dir/' },
  ],
  [
    { name: 'change', content: 'new', mode: 0o600, uid: 1000, gid: 1000 },
    { name: '.wh.drop' },
    { name: 'dir/', mode: 0o755, uid: 4 },
    { name: 'dir/.wh.a' },
    { name: 'opaque/', mode: 0o711 },
    { name: 'opaque/.wh..wh..opq' },
    { name: 'opaque/new', content: 'n' },
    { name: '.wh.remade' },
    { name: 'file-then-dir/' },
    { name: 'file-then-dir/in', content: 'in' },
    { name: 'dir-then-file', content: 'now a file' },
    { name: 'link-then-dir/' },
    { name: 'usr/lib/one', content: '1' },
    { name: '.wh.hard-2' },
    { name: 'hard-3', content: 'own' },
  ],
  [
    { name: 'drop', content: 'again' },
    { name: 'remade/new', content: 'n' },
    { name: 'opaque/', mode: 0o711 },
    { name: 'opaque/.wh.new' },
    { name: 'dir/', mode: 0o755, uid: 4 },
    { name: 'dir/late' },
  ],
];

/** Made by the engine in every container, or by us in every enclave. */
const NOT_COMPARED = /^(dev|proc|sys|run|tmp|etc|\.dockerenv)(\/|$)/;
const TYPES: Record<string, string> = {
  file: '100',
  'hard-link': '100',
  symlink: '120',
  'char-device': '020',
  directory: '040',
  fifo: '010',
};

describe('flatten, seen by a Docker Engine', () => {
  it('gives the tree that a container of the same image has', async () => {
    await using bench = await Bench.create();
    const docker = new Dockerode();
    const name = `enclaver-test/opinion-${randomBytes(4).toString('hex')}:1`;
    const image = { layers: layers.map((entries) => tar(entries)), config: { Cmd: ['/x'] } };
    const archive = dockerArchive(image, [name]);
    await writeFile(bench.file('app.tar'), archive);
    await bench.build({ manifest: manifest('docker-archive:app.tar') });
    const ours = (await readRamdisk(bench.file('app.eif')))
      .filter(({ path }) => path.startsWith('rootfs/') && !NOT_COMPARED.test(path.slice('rootfs/'.length)))
      .map(({ path, mode, uid, gid, rdev, data }) => {
        const link = mode.startsWith('12') ? data : '';
        return `${path.slice('rootfs/'.length)} ${mode.padStart(6, '0')} ${uid}:${gid} ${rdev} ${link}`;
      });
    const engine = await Engine.find();
    await engine.load(Readable.from([archive]));
    try {
      const container = await docker.createContainer({ Image: name });
      const theirs: string[] = [];
      try {
        const input = new StreamInput((await container.export()) as Readable);
        for await (const entry of readTar(input)) {
          const path = entry.name.replace(/\/$/, '');
          if (path === '' || path === '.' || NOT_COMPARED.test(path)) continue;
          const mode = `${TYPES[entry.type]}${entry.mode.toString(8).padStart(4, '0')}`.replace(
            /^(\d\d)\d(\d{4})$/,
            '$1$2',
          );
          const link = entry.type === 'symlink' ? entry.linkName : '';
          theirs.push(`${path} ${mode} ${entry.uid}:${entry.gid} ${entry.devMajor}:${entry.devMinor} ${link}`);
        }
        // A connection with bytes left in it keeps the process
        await input.drain();
      } finally {
        await container.remove({ force: true });
      }
      assert.deepEqual(ours, theirs.sort());
    } finally {
      await docker.getImage(name).remove({ force: true });
    }
  });
});
