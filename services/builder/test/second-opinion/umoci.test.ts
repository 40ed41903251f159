import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { docker } from '../../../../test/stack/engine.ts';
import { Bench, manifest, readRamdisk } from '../support.ts';

const run = promisify(execFile);

/** What builders do in layers: change, hide, replace by another type, link, and give away. */
const DOCKERFILE = String.raw`
FROM enclaver-test/busybox:local
RUN mkdir -p /d/sub /o/old /both && echo a >/d/a && echo b >/d/sub/b && echo o >/o/old/o && echo f >/both/f \
 && ln /d/a /d/hard && ln /d/a /hard-too && ln -s ../d/a /o/link && ln -s /nowhere /dangling && ln -s d /to-d \
 && chmod 4755 /d/a && chmod 1777 /both && chown 123:456 /d/sub && chown 4000000000:5 /d/sub/b && mkdir -p /x/y && echo z >/x/y/z
RUN mknod /null c 1 3 && mknod /block b 7 300 && mkfifo -m 620 /pipe && chmod 0 /d/sub/b \
 && touch "$(printf '/odd\n\033\377name')" && touch "/ " && touch '/back\slash' && mkdir -p "$(printf '/d\303\244')"
RUN rm /d/sub/b && rm -rf /o && mkdir /o && echo new >/o/new && rm -rf /both && echo file >/both \
 && rm /to-d && mkdir /to-d && echo in >/to-d/in && rm -rf /x/y && ln -s /d /x/y && echo more >>/d/hard
RUN rm /dangling && mkdir /dangling && rm /pipe && echo "no pipe" >/pipe && chown -h 7:8 /x/y
CMD ["/bin/true"]
`;

/** Of a name: type and mode, owners, device, target, content. Times and extended attributes no initramfs carries. */
type Facts = Map<string, string>;

interface Opinion {
  facts: Facts;
  /** Names of one file, joined and sorted. */
  links: string[];
}

/** What stands in a folder that umoci unpacked to. */
async function unpacked(root: string): Promise<Opinion> {
  const facts: Facts = new Map();
  const names = new Map<number, string[]>();
  const walk = async (folder: Buffer, prefix: string): Promise<void> => {
    for (const name of await readdir(folder, { encoding: 'buffer' })) {
      const path = Buffer.concat([folder, Buffer.from('/'), name]);
      const shown = prefix + name.toString('latin1');
      const { mode, uid, gid, rdev, ino, nlink } = await lstat(path);
      const isDevice = (mode & 0o170000) === 0o020000 || (mode & 0o170000) === 0o060000;
      // As glibc packs them: 12 and 20 bits
      const device = isDevice ? `${(rdev >> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >> 12) & 0xfff00)}` : '0:0';
      const isFile = (mode & 0o170000) === 0o100000;
      const isLink = (mode & 0o170000) === 0o120000;
      const data = isLink
        ? await readlink(path, { encoding: 'buffer' })
        : isFile
          ? await readFile(path)
          : Buffer.alloc(0);
      facts.set(shown, `${mode.toString(8)} ${uid}:${gid} ${device} ${hash(data)}`);
      if (isFile && nlink > 1) names.set(ino, [...(names.get(ino) ?? []), shown]);
      if ((mode & 0o170000) === 0o040000) await walk(path, `${shown}/`);
    }
  };
  await walk(Buffer.from(root), '');
  return { facts, links: joined(names.values()) };
}

/** What stands in our ramdisk. */
async function ours(eif: string): Promise<Opinion> {
  const facts: Facts = new Map();
  const names = new Map<number, string[]>();
  const data = new Map<number, string>();
  for (const entry of await readRamdisk(eif)) {
    if (!entry.path.startsWith('rootfs/')) continue;
    const path = entry.path.slice('rootfs/'.length);
    const isLinked = entry.mode.startsWith('10') && entry.nlink > 1;
    // The first name of a file has its data
    if (isLinked && !data.has(entry.ino)) data.set(entry.ino, entry.data);
    const bytes = Buffer.from(isLinked ? (data.get(entry.ino) ?? '') : entry.data, 'latin1');
    facts.set(path, `${entry.mode} ${entry.uid}:${entry.gid} ${entry.rdev} ${hash(bytes)}`);
    if (isLinked) names.set(entry.ino, [...(names.get(entry.ino) ?? []), path]);
  }
  return { facts, links: joined(names.values()) };
}

function joined(sets: Iterable<string[]>): string[] {
  return [...sets].map((set) => set.toSorted().join(' = ')).toSorted();
}

function hash(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

/** What an enclave has and an image need not. */
const ADDED = /^(dev|proc|run|sys|tmp|etc|etc\/enclaver|etc\/enclaver\/enclaver\.yaml)$/;

describe('image reading, seen by skopeo and umoci', () => {
  let bench: Bench;
  const name = `enclaver-test/umoci-${randomBytes(4).toString('hex')}:1`;

  before(async function () {
    this.timeout(120_000);
    bench = await Bench.create();
    await mkdir(bench.file('context'));
    await writeFile(bench.file('context/Dockerfile'), DOCKERFILE);
    await docker(['build', '-q', '-t', name, bench.file('context')]);
    await docker(['save', '-o', bench.file('saved.tar'), name]);
    const from = [`docker-archive:${bench.file('saved.tar')}`];
    const copy = (to: string): Promise<unknown> =>
      run('skopeo', ['copy', '-q', '--insecure-policy', '--tmpdir', bench.path, ...from, to]);
    await copy(`oci:${bench.file('skopeo')}:x`);
    await copy(`oci-archive:${bench.file('skopeo-oci.tar')}:x`);
    await copy(`docker-archive:${bench.file('skopeo-docker.tar')}:${name}`);
    await mkdir(bench.file('layout'));
    await run('tar', ['-xf', bench.file('saved.tar'), '-C', bench.file('layout')]);
    await run('umoci', ['unpack', '--image', `${bench.file('skopeo')}:x`, bench.file('bundle')]);
  });

  after(async () => {
    await docker(['image', 'rm', '-f', name]).catch(() => undefined);
    await bench[Symbol.asyncDispose]();
  });

  /** The manifest is measured: one text for all sources. */
  const buildFrom = (from: string) => bench.build({ manifest: manifest('oci:unused'), from });

  it('gives the tree that umoci unpacks of what skopeo copied: types, modes, owners, devices, targets, bytes and links', async () => {
    await buildFrom('oci:skopeo');
    const mine = await ours(bench.file('app.eif'));
    const theirs = await unpacked(bench.file('bundle/rootfs'));
    assert.ok(theirs.facts.size > 20 && theirs.links.length > 0);
    for (const path of mine.facts.keys()) if (ADDED.test(path) && !theirs.facts.has(path)) mine.facts.delete(path);
    assert.deepEqual([...mine.facts].toSorted(), [...theirs.facts].toSorted());
    assert.deepEqual(mine.links, theirs.links);
  }).timeout(60_000);

  it('gives the same EIF, byte for byte, from the engine, its archive and the layout in that archive', async () => {
    const hashes = new Set<string>();
    for (const from of [name, 'docker-archive:saved.tar', 'oci-archive:saved.tar', 'oci:layout']) {
      hashes.add((await buildFrom(from)).eif.sha256);
    }
    assert.equal(hashes.size, 1);
  }).timeout(60_000);

  it('gives the same measurements of what skopeo made of it, though skopeo writes another configuration', async () => {
    const seen = new Set<string>();
    for (const from of ['oci:skopeo', 'oci-archive:skopeo-oci.tar', 'docker-archive:skopeo-docker.tar', 'oci:layout']) {
      seen.add(JSON.stringify((await buildFrom(from)).measurements));
    }
    assert.equal(seen.size, 1);
  }).timeout(60_000);
});
