import { BuilderError } from '../builder-error.ts';
import { limits } from '../limits.ts';
import { showName } from '../tar/tar-read.ts';
import { type DirNode, plainDir } from './node.ts';
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
  const shown = (): string => showName(parts.join('/'));
  const stack: ResolvedDir[] = [{ dir: root, bytes: 0 }];
  const open = parts.toReversed();
  let hops = 0;
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (stack.length > 1) stack.pop();
      continue;
    }
    const top = stack.at(-1) ?? { dir: root, bytes: 0 };
    let slot = top.dir.children.get(part);
    if (slot === undefined) {
      if (makeIn === undefined) return undefined;
      slot = { node: plainDir(), layer: makeIn };
      checkLength(top.bytes + part.length);
      budget.entry();
      top.dir.children.set(part, slot);
    }
    if (slot.node.kind === 'directory') {
      stack.push({ dir: slot.node, bytes: top.bytes + part.length + 1 });
    } else if (slot.node.kind === 'symlink') {
      hops += 1;
      if (hops > limits.symlinkHops) {
        throw new BuilderError('IMAGE_INVALID', `${shown()} leads through more than ${limits.symlinkHops} symlinks`, {
          remedy: 'look for symlinks in the image that point to each other',
        });
      }
      budget.followed(slot.node.target.length);
      if (slot.node.target.startsWith('/')) stack.length = 1;
      open.push(...slot.node.target.split('/').reverse());
    } else {
      throw new BuilderError(
        'IMAGE_INVALID',
        `the image has a name below ${shown()}, where ${showName(part)} is no folder`,
        {
          remedy: 'build or export the image again',
        },
      );
    }
  }
  return stack.at(-1);
}

/** Throws IMAGE_INVALID for a path of `bytes` bytes that Linux would not take. This also bounds the tree's depth. */
export function checkLength(bytes: number): void {
  if (bytes > limits.pathBytes) {
    throw new BuilderError('IMAGE_INVALID', `a path of the image has more than ${limits.pathBytes} bytes`, {
      remedy: 'Linux takes no longer paths: shorten the names',
    });
  }
}
