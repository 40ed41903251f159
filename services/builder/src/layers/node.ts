/** Where the bytes of a file are: a range of a spooled layer. */
export interface Extent {
  /** Index of the spool, which is the layer's. */
  spool: number;
  offset: number;
  size: number;
}

interface Owned {
  /** Permission bits, 07777. */
  mode: number;
  uid: number;
  gid: number;
}

/** What a name stands for. Two names of one file (hard links) hold the same object. */
export type Node = DirNode | FileNode | SymlinkNode | DeviceNode | FifoNode;

export interface DirNode extends Owned {
  kind: 'directory';
  /** By name, as latin1: one character a byte, so that comparing strings compares bytes. */
  children: Map<string, Slot>;
  /** Latest layer in which everything of the layers below was hidden: doing it twice would find nothing. */
  hiddenIn: number;
}

export interface FileNode extends Owned {
  kind: 'file';
  content: Extent | Buffer;
}

export interface SymlinkNode extends Owned {
  kind: 'symlink';
  target: string;
}

export interface DeviceNode extends Owned {
  kind: 'char-device' | 'block-device';
  rdev: { major: number; minor: number };
}

export interface FifoNode extends Owned {
  kind: 'fifo';
}

/** A name in a folder, and the layer that wrote it: a whiteout hides only what layers below it wrote. */
export interface Slot {
  node: Node;
  layer: number;
}

/** A folder that no layer describes: as container engines make it. */
export function plainDir(): DirNode {
  return { kind: 'directory', mode: 0o755, uid: 0, gid: 0, children: new Map(), hiddenIn: -1 };
}
