import assert from 'node:assert/strict';
import { BuilderError } from '../../src/builder-error.ts';
import { FileTree } from '../../src/layers/file-tree.ts';
import { walk } from '../../src/layers/walk.ts';
import { limits } from '../../src/limits.ts';
import type { TarEntry } from '../../src/tar/tar-read.ts';

/** An entry as the tar reader gives it. */
function entry(name: string, more: Partial<TarEntry> = {}): TarEntry {
  const plain = { type: 'file', mode: 0o644, uid: 0, gid: 0, size: 0, offset: 0, linkName: '' } as const;
  return { ...plain, devMajor: 0, devMinor: 0, xattrs: 0, name, ...more };
}

/** Applies entries until the tree refuses one. */
function applyAll(tree: FileTree, entries: Iterable<TarEntry>): BuilderError | undefined {
  try {
    for (const each of entries) tree.apply(each, 0);
    return undefined;
  } catch (error) {
    if (error instanceof BuilderError) return error;
    throw error;
  }
}

function* numbered(count: number, make: (n: number) => TarEntry): Generator<TarEntry> {
  for (let n = 0; n < count; n += 1) yield make(n);
}

describe('bounds of a file tree', () => {
  it('count folders that names only imply: 4 KiB of name would make 2,000 of them', () => {
    const deep = 'd/'.repeat(2000);
    const error = applyAll(
      new FileTree(),
      numbered(5000, (n) => entry(`${n}/${deep}`, { type: 'directory' })),
    );
    assert.equal(error?.code, 'IMAGE_TOO_LARGE');
    assert.match(error?.message ?? '', /2000000 entries/);
  }).timeout(60_000);

  it('count what is walked through symlinks: 40 targets of 4,095 bytes for one name would take hours', () => {
    const tree = new FileTree();
    const around = 'd/../'.repeat(800);
    const links = function* (): Generator<TarEntry> {
      yield entry('d', { type: 'directory' });
      yield entry('l0', { type: 'symlink', linkName: 'd' });
      for (let n = 1; n < 40; n += 1) yield entry(`l${n}`, { type: 'symlink', linkName: `${around}l${n - 1}` });
      yield* numbered(100_000, (n) => entry(`l39/f${n}`));
    };
    const error = applyAll(tree, links());
    assert.equal(error?.code, 'IMAGE_TOO_LARGE');
    assert.match(error?.message ?? '', /symlinks/);
  }).timeout(60_000);

  it('leave room for a large image whose names go through symlinks', () => {
    const tree = new FileTree();
    assert.equal(
      applyAll(tree, [entry('usr/lib/x86_64-linux-gnu/'), entry('lib', { type: 'symlink', linkName: 'usr/lib' })]),
      undefined,
    );
    assert.equal(
      applyAll(
        tree,
        numbered(300_000, (n) => entry(`lib/p${n % 1000}/f${n}`)),
      ),
      undefined,
    );
    let found = 0;
    for (const { node } of walk(tree.root)) if (node.kind === 'file') found += 1;
    assert.equal(found, 300_000 + 1);
  }).timeout(60_000);

  it('take the deepest tree that Linux takes, and refuse one level more', () => {
    const levels = Math.floor(limits.pathBytes / 2);
    const tree = new FileTree();
    assert.equal(applyAll(tree, [entry('d/'.repeat(levels), { type: 'directory' })]), undefined);
    const paths = [...walk(tree.root)].map(({ path }) => path.length);
    assert.equal(paths.length, levels);
    for (const depth of [levels + 1, 10_000]) {
      const error = applyAll(new FileTree(), [entry('d/'.repeat(depth), { type: 'directory' })]);
      assert.equal(error?.code, 'IMAGE_INVALID');
    }
  });
});
