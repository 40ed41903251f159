import { BuilderError } from '../builder-error.ts';
import { limits } from '../limits.ts';
import { showName } from '../tar/tar-read.ts';
import { type DirNode, type Node, plainDir } from './node.ts';
import type { TreeBudget } from './tree-budget.ts';

/**
 * The components of a name in a layer. A leading slash is dropped, as container engines do (some builders write it);
 * `..` is refused wherever it stands. Throws IMAGE_PATH_ESCAPE.
 */
export function components(name: string): string[] {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) {
    throw new BuilderError('IMAGE_PATH_ESCAPE', `the image holds the name ${showName(name)}, with ".."`, {
      remedy: 'build the image with a tool that writes plain names; do not trust this one',
    });
  }
  return parts;
}

export interface ResolvedDir {
  dir: DirNode;
  /** Length of its path with a slash at the end; 0 for the root. */
  bytes: number;
}

/**
 * The folder that `parts` lead to, seen from the image's root: symlinks on the way are followed as in a chroot, so that no
 * target, absolute or with `..`, leads out. With `makeIn`, what is missing is made for that layer, else the answer is
 * undefined. Throws IMAGE_INVALID for a loop, a file on the way, or a path too long for the enclave, and IMAGE_TOO_LARGE for
 * what goes beyond the budget.
 */
export function resolveDir(
  root: DirNode,
  parts: readonly string[],
  makeIn: number | undefined,
  budget: TreeBudget,
): ResolvedDir | undefined {
  const found = follow(root, parts, makeIn, budget);
  if (found?.leaf !== undefined) throw noFolder(parts, found.leaf.name);
  return found?.in;
}

/** The same for a path that may end in anything but a symlink: what opening it would give. */
export function resolveNode(root: DirNode, parts: readonly string[], budget: TreeBudget): Node | undefined {
  const found = follow(root, parts, undefined, budget);
  return found?.leaf?.node ?? found?.in.dir;
}

/** Where a path ends: in a folder, or at what else is in one. */
interface End {
  in: ResolvedDir;
  leaf?: { name: string; node: Node };
}

function follow(
  root: DirNode,
  parts: readonly string[],
  makeIn: number | undefined,
  budget: TreeBudget,
): End | undefined {
  const top: ResolvedDir = { dir: root, bytes: 0 };
  const stack = [top];
  const open = parts.toReversed();
  let hops = 0;
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (stack.length > 1) stack.pop();
      continue;
    }
    const here = stack.at(-1) ?? top;
    let slot = here.dir.children.get(part);
    if (slot === undefined) {
      if (makeIn === undefined) return undefined;
      slot = { node: plainDir(), layer: makeIn };
      checkLength(here.bytes + part.length);
      budget.entry();
      here.dir.children.set(part, slot);
    }
    if (slot.node.kind === 'directory') {
      stack.push({ dir: slot.node, bytes: here.bytes + part.length + 1 });
    } else if (slot.node.kind === 'symlink') {
      hops += 1;
      if (hops > limits.symlinkHops) {
        const shown = showName(parts.join('/'));
        throw new BuilderError('IMAGE_INVALID', `${shown} leads through more than ${limits.symlinkHops} symlinks`, {
          remedy: 'look for symlinks in the image that point to each other',
        });
      }
      budget.followed(slot.node.target.length);
      if (slot.node.target.startsWith('/')) stack.length = 1;
      open.push(...slot.node.target.split('/').reverse());
    } else if (open.length > 0) throw noFolder(parts, part);
    else return { in: here, leaf: { name: part, node: slot.node } };
  }
  return { in: stack.at(-1) ?? top };
}

function noFolder(parts: readonly string[], part: string): BuilderError {
  const [shown, what] = [showName(parts.join('/')), showName(part)];
  return new BuilderError('IMAGE_INVALID', `the image has a name below ${shown}, where ${what} is no folder`, {
    remedy: 'build or export the image again',
  });
}

/** Throws IMAGE_INVALID for a path of `bytes` bytes that Linux would not take. This also bounds the tree's depth. */
export function checkLength(bytes: number): void {
  if (bytes > limits.pathBytes) {
    throw new BuilderError('IMAGE_INVALID', `a path of the image has more than ${limits.pathBytes} bytes`, {
      remedy: 'Linux takes no longer paths: shorten the names',
    });
  }
}
