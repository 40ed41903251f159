import type { FileNode, Node } from './node.ts';

export interface Walked {
  /** Relative to the tree's root, latin1. */
  path: string;
  node: Node;
}

/**
 * Everything in a tree, sorted by the bytes of the whole path. That is not the order of a depth-first walk by name
 * (`a-b` stands between `a` and `a/b`), so a folder's name and what is below it are sorted as two things: `a` and `a/`.
 */
export function* walk(root: Node, prefix = ''): Generator<Walked> {
  if (root.kind !== 'directory') return;
  const items: { key: string; node: Node; below: boolean }[] = [];
  for (const [name, { node }] of root.children) {
    items.push({ key: name, node, below: false });
    if (node.kind === 'directory') items.push({ key: `${name}/`, node, below: true });
  }
  items.sort((a, b) => (a.key < b.key ? -1 : 1));
  for (const { key, node, below } of items) {
    if (below) yield* walk(node, prefix + key);
    else yield { path: prefix + key, node };
  }
}

/**
 * The files of a tree, and how many names each has. Only regular files become hard links: Linux's initramfs knows no links to
 * symlinks, and a copy of one is the same.
 */
export function countNames(root: Node, names = new Map<FileNode, number>()): Map<FileNode, number> {
  if (root.kind !== 'directory') return names;
  for (const { node } of root.children.values()) {
    if (node.kind === 'file') names.set(node, (names.get(node) ?? 0) + 1);
    else countNames(node, names);
  }
  return names;
}
