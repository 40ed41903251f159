import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { writeOciLayout } from '../../../../test/images/image.ts';
import { tar } from '../../../../test/images/tar.ts';
import { docker } from '../../../../test/stack/engine.ts';
import { changes, trees } from '../hostile/random-tree.ts';
import { Bench, manifest } from '../support.ts';
import { ours, unpacked } from './opinion.ts';

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

/** umoci gives files to their owners and makes devices: this runs as root, as the engine's tests do. */
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
    const theirs = await unpacked(bench.file('bundle/rootfs'));
    const mine = await ours(bench.file('app.eif'), theirs);
    assert.ok(theirs.facts.size > 20 && theirs.links.length > 0);
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

  it('gives the tree that umoci unpacks of random layers', async () => {
    const property = fc.asyncProperty(trees, fc.boolean(), async (each, opaque) => {
      const layers = each.map((after, index) => tar(changes(each[index - 1] ?? {}, after, opaque)));
      await writeOciLayout(bench.file('random'), [{ image: { layers, config: { Cmd: ['/app'] } }, name: 'x' }]);
      await buildFrom('oci:random');
      await rm(bench.file('random-bundle'), { recursive: true, force: true });
      await run('umoci', ['unpack', '--image', `${bench.file('random')}:x`, bench.file('random-bundle')]);
      const theirs = await unpacked(bench.file('random-bundle/rootfs'));
      assert.deepEqual([...(await ours(bench.file('app.eif'), theirs)).facts].toSorted(), [...theirs.facts].toSorted());
    });
    await fc.assert(property, { numRuns: 12 });
  }).timeout(60_000);
});
