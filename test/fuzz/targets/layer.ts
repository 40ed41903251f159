import assert from 'node:assert/strict';
import { BuilderError } from '../../../services/builder/src/builder-error.ts';
import { FileTree } from '../../../services/builder/src/layers/file-tree.ts';
import type { DirNode } from '../../../services/builder/src/layers/node.ts';
import { StreamInput } from '../../../services/builder/src/tar/byte-input.ts';
import { readTar } from '../../../services/builder/src/tar/tar-read.ts';
import { tar } from '../../images/tar.ts';
import { readOrRefuseLater } from '../target.ts';

export const seeds = [
  Buffer.concat([
    tar([{ name: 'a/' }, { name: 'a/b', content: 'text' }, { name: 'a/c', link: '../b' }]),
    tar([{ name: 'a/.wh.b' }, { name: 'd', type: 'hard-link', link: 'a/c' }, { name: `${'n'.repeat(120)}` }]),
  ]),
  tar([
    { name: 'x/.wh..wh..opq' },
    { name: 'dev', major: 1, minor: 3, pax: { uid: '70000' } },
    { name: 'l'.repeat(130), long: 'gnu' },
  ]),
];

/** Names in the tree below a folder, which every tool that unpacks it would make. */
function* names(folder: DirNode, depth = 0): Generator<string> {
  assert.ok(depth < 5000, 'a folder in itself');
  for (const [name, { node }] of folder.children) {
    yield name;
    if (node.kind === 'directory') yield* names(node, depth + 1);
  }
}

/** Two layers of an image, cut at half: refused, or a tree in which no name leads out of it. */
export async function fuzz(input: Buffer): Promise<void> {
  const tree = new FileTree();
  const half = (input.length >> 1) & ~511;
  for (const [layer, bytes] of [input.subarray(0, half), input.subarray(half)].entries()) {
    await readOrRefuseLater(async () => {
      const chunks = (async function* () {
        yield bytes;
      })();
      for await (const entry of readTar(new StreamInput(chunks))) {
        assert.ok(entry.offset + entry.size <= Number.MAX_SAFE_INTEGER && entry.size >= 0);
        tree.apply(entry, layer);
      }
    }, BuilderError);
  }
  for (const name of names(tree.root)) assert.ok(name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name));
}
