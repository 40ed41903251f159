import { BuilderError } from '../builder-error.ts';
import { limits } from '../limits.ts';
import { showName, type TarEntry } from '../tar/tar-read.ts';
import { type DirNode, type Node, plainDir, type Slot } from './node.ts';
import { checkLength, components, resolveDir, resolveNode } from './resolve.ts';
import { TreeBudget } from './tree-budget.ts';

export const WHITEOUT = '.wh.';
export const OPAQUE = '.wh..wh..opq';
/** AUFS kept its own files under this prefix; engines skip them. */
const WHITEOUT_META = '.wh..wh.';

/** What cpio does not carry, and so was left out. */
export interface LeftOut {
  /** Entries with extended attributes (file capabilities, SELinux labels, ACLs). */
  xattrs: number;
}

/** A file tree that layers are applied to in order (OCI image specification, "Image Layer Filesystem Changeset"). */
export class FileTree {
  readonly root: DirNode = plainDir();
  readonly leftOut: LeftOut = { xattrs: 0 };
  readonly #budget = new TreeBudget();

  /** Applies one entry of a layer; `layer` counts from 0. Throws IMAGE_PATH_ESCAPE, IMAGE_INVALID, IMAGE_TOO_LARGE. */
  apply(entry: TarEntry, layer: number): void {
    this.#budget.entry();
    this.#budget.names(entry.name.length + entry.linkName.length);
    const parts = components(entry.name);
    const base = parts.pop();
    if (base === undefined) {
      if (entry.type !== 'directory') throw refuse(entry, 'is the root, which must be a folder');
      setMeta(this.root, entry);
      return;
    }
    if (base.startsWith(WHITEOUT) || parts.some((part) => part.startsWith(WHITEOUT_META))) {
      this.#whiteout(entry, parts, base, layer);
      return;
    }
    if (entry.xattrs > 0) this.leftOut.xattrs += 1;
    if (entry.type === 'hard-link') {
      const node = this.#linkTarget(entry);
      this.put(parts, base, node, layer);
      return;
    }
    if (entry.type === 'directory') {
      const slot = this.#parent(parts, base, layer).children.get(base);
      if (slot?.node.kind === 'directory') {
        setMeta(slot.node, entry);
        slot.layer = layer;
        return;
      }
    }
    this.put(parts, base, makeNode(entry, layer), layer);
  }

  /** Puts a node at a name, in place of what was there; missing parents are made. */
  put(parts: readonly string[], base: string, node: Node, layer: number): void {
    this.#parent(parts, base, layer).children.set(base, { node, layer });
  }

  /** Makes a folder, and its parents, unless something is there. */
  makeDir(path: string, layer: number): void {
    const parts = components(path);
    const base = parts.pop();
    if (base === undefined) return;
    const { children } = this.#parent(parts, base, layer);
    if (children.has(base)) return;
    this.#budget.entry();
    children.set(base, { node: plainDir(), layer });
  }

  /** What a path leads to without following its last name, or undefined. */
  find(path: string): Node | undefined {
    const parts = components(path);
    const base = parts.pop();
    if (base === undefined) return this.root;
    return this.#resolve(parts)?.dir.children.get(base)?.node;
  }

  /** What a path leads to when it is opened, as by a program in the image: its last name is followed, too. */
  open(path: string): Node | undefined {
    return resolveNode(this.root, path.split('/'), this.#budget);
  }

  /** The folder that a new name goes into. */
  #parent(parts: readonly string[], base: string, layer: number): DirNode {
    const { dir, bytes } = this.#resolve(parts, layer) ?? { dir: this.root, bytes: 0 };
    checkLength(bytes + base.length);
    return dir;
  }

  #whiteout(entry: TarEntry, parts: readonly string[], base: string, layer: number): void {
    if (base === OPAQUE) {
      const dir = this.#resolve(parts)?.dir;
      if (dir !== undefined) hideLower(dir, layer);
      return;
    }
    if (base.startsWith(WHITEOUT_META) || !base.startsWith(WHITEOUT)) return;
    const hidden = base.slice(WHITEOUT.length);
    if (hidden === '' || hidden === '.' || hidden === '..') throw refuse(entry, 'is a whiteout of no name');
    const dir = this.#resolve(parts)?.dir;
    const slot = dir?.children.get(hidden);
    if (dir !== undefined && slot !== undefined && !keepUpper(slot, layer)) dir.children.delete(hidden);
  }

  #linkTarget(entry: TarEntry): Node {
    const node = this.find(entry.linkName);
    const target = showName(entry.linkName);
    if (node === undefined) throw refuse(entry, `is a hard link to ${target}, which is not there`);
    if (node.kind === 'directory') throw refuse(entry, `is a hard link to the folder ${target}`);
    // Names of a symlink become symlinks of their own in the archive: each costs its target again
    if (node.kind === 'symlink') this.#budget.names(node.target.length);
    return node;
  }

  #resolve(parts: readonly string[], makeIn?: number): ReturnType<typeof resolveDir> {
    return resolveDir(this.root, parts, makeIn, this.#budget);
  }
}

function makeNode(entry: TarEntry, layer: number): Node {
  const owned = { mode: entry.mode, uid: checkOwner(entry, entry.uid), gid: checkOwner(entry, entry.gid) };
  switch (entry.type) {
    case 'directory':
      return { ...plainDir(), ...owned };
    case 'file':
      if (entry.size > limits.fileBytes) throw tooLarge(entry);
      return { kind: 'file', content: { spool: layer, offset: entry.offset, size: entry.size }, ...owned };
    case 'symlink': {
      const length = entry.linkName.length;
      if (length === 0 || length > limits.linkTargetBytes) {
        throw refuse(
          entry,
          `is a symlink with a target of ${length} bytes; allowed are 1 to ${limits.linkTargetBytes}`,
        );
      }
      return { kind: 'symlink', target: entry.linkName, ...owned };
    }
    case 'char-device':
    case 'block-device':
      if (entry.devMajor > limits.deviceMajor || entry.devMinor > limits.deviceMinor) {
        throw refuse(
          entry,
          `is device ${entry.devMajor}:${entry.devMinor}; allowed are numbers to ${limits.deviceMajor}:${limits.deviceMinor}`,
        );
      }
      return { kind: entry.type, rdev: { major: entry.devMajor, minor: entry.devMinor }, ...owned };
    case 'fifo':
      return { kind: 'fifo', ...owned };
    case 'hard-link':
      throw new TypeError('a hard link has no node of its own');
  }
}

function setMeta(dir: DirNode, entry: TarEntry): void {
  dir.mode = entry.mode;
  dir.uid = checkOwner(entry, entry.uid);
  dir.gid = checkOwner(entry, entry.gid);
}

/** 0xffffffff means "leave as it is" to chown(2): no file can belong to it. */
function checkOwner(entry: TarEntry, id: number): number {
  if (id >= 0xffffffff) throw refuse(entry, `has owner ${id}; allowed are 0 to 4294967294`);
  return id;
}

/** Takes out of a folder what layers below `layer` wrote. */
function hideLower(dir: DirNode, layer: number): void {
  if (dir.hiddenIn === layer) return;
  dir.hiddenIn = layer;
  for (const [name, slot] of dir.children) {
    if (!keepUpper(slot, layer)) dir.children.delete(name);
  }
}

/** Hides the lower layers' part of a name; false when nothing of it is left. */
function keepUpper(slot: Slot, layer: number): boolean {
  const { node } = slot;
  if (node.kind !== 'directory') return slot.layer === layer;
  hideLower(node, layer);
  if (slot.layer === layer) return true;
  if (node.children.size === 0) return false;
  // The folder of the layers below is gone; this layer only implies one of that name
  slot.node = { ...plainDir(), children: node.children, hiddenIn: layer };
  slot.layer = layer;
  return true;
}

function tooLarge({ name, size }: TarEntry): BuilderError {
  return new BuilderError(
    'IMAGE_TOO_LARGE',
    `${showName(name)} has ${size} bytes; one file may have ${limits.fileBytes} at most`,
    { remedy: 'keep files of 4 GiB and more out of the image' },
  );
}

function refuse(entry: TarEntry, why: string): BuilderError {
  return new BuilderError('IMAGE_INVALID', `${showName(entry.name)} of the image ${why}`, {
    remedy: 'build or export the image again',
  });
}
