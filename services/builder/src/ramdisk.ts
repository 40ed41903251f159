import { type CpioEntry, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG } from '@enclaver/eif';
import { LAUNCH_PATH, type LaunchDescription, MANIFEST_PATH, ROOTFS_PATH } from '@enclaver/wire';
import { BuilderError } from './builder-error.ts';
import { ExtentReader } from './layers/extent-reader.ts';
import type { FileTree } from './layers/file-tree.ts';
import type { Flattened } from './layers/flatten.ts';
import { type FileNode, type Node, plainDir } from './layers/node.ts';
import { countNames, walk } from './layers/walk.ts';

const KINDS: Readonly<Record<Node['kind'], number>> = {
  directory: S_IFDIR,
  file: S_IFREG,
  symlink: S_IFLNK,
  'char-device': S_IFCHR,
  'block-device': S_IFBLK,
  fifo: S_IFIFO,
};

/** Folders that the enclave mounts over, with their modes. */
const MOUNT_POINTS: readonly (readonly [string, number])[] = [
  ['dev', 0o755],
  ['proc', 0o755],
  ['run', 0o755],
  ['sys', 0o755],
  ['tmp', 0o1777],
];

/** What the enclave needs in the app's tree: where to mount, the image's volumes, and the manifest. Throws IMAGE_INVALID. */
export function completeTree(tree: FileTree, manifest: Buffer, volumes: readonly string[]): void {
  const ours = Number.POSITIVE_INFINITY;
  for (const [name, mode] of MOUNT_POINTS) {
    if (tree.find(name) === undefined) tree.put([], name, { ...plainDir(), mode }, ours);
  }
  for (const volume of volumes) tree.makeDir(Buffer.from(volume, 'utf8').toString('latin1'), ours);
  const parts = MANIFEST_PATH.split('/');
  const base = parts.pop() ?? '';
  // A symlink here would be followed by the app's root, but not by whoever reads the manifest from outside of it
  for (const [index] of parts.entries()) {
    const path = parts.slice(0, index + 1).join('/');
    const node = tree.find(path);
    if (node !== undefined && node.kind !== 'directory') {
      throw new BuilderError(
        'IMAGE_INVALID',
        `/${path} of the image is a ${node.kind}; it must be a folder or missing`,
        {
          remedy: `make /${path} a folder in the image: the enclave's manifest goes there`,
        },
      );
    }
  }
  tree.put(parts, base, { kind: 'file', mode: 0o644, uid: 0, gid: 0, content: manifest }, ours);
}

/** Entries of ramdisk 1: the tree below `rootfs`, sorted by path bytes, then the launch description. */
export function* ramdiskEntries(flattened: Flattened, launch: LaunchDescription): Generator<CpioEntry> {
  const { root } = flattened.tree;
  const names = countNames(root);
  const reader = new ExtentReader(flattened.spools);
  const first = new Map<FileNode, Buffer>();
  yield { path: ROOTFS_PATH, mode: S_IFDIR | root.mode, uid: root.uid, gid: root.gid };
  for (const { path: relative, node } of walk(root)) {
    const path = Buffer.from(`${ROOTFS_PATH}/${relative}`, 'latin1');
    const entry: CpioEntry = { path, mode: KINDS[node.kind] | node.mode, uid: node.uid, gid: node.gid };
    if (node.kind === 'symlink') entry.data = Buffer.from(node.target, 'latin1');
    if (node.kind === 'char-device' || node.kind === 'block-device') entry.rdev = node.rdev;
    if (node.kind === 'file') {
      const before = first.get(node);
      if (before !== undefined) {
        yield { ...entry, hardLinkOf: before };
        continue;
      }
      const nlink = names.get(node) ?? 1;
      if (nlink > 1) {
        first.set(node, path);
        entry.nlink = nlink;
      }
      Object.assign(entry, content(node, reader));
    }
    yield entry;
  }
  yield { path: LAUNCH_PATH, mode: S_IFREG | 0o644, data: Buffer.from(`${JSON.stringify(launch)}\n`, 'utf8') };
}

/** Bytes of file content that the ramdisk will hold. */
export function contentBytes(tree: FileTree): number {
  let bytes = 0;
  for (const { content } of countNames(tree.root).keys()) {
    bytes += Buffer.isBuffer(content) ? content.length : content.size;
  }
  return bytes;
}

function content({ content }: FileNode, reader: ExtentReader): Pick<CpioEntry, 'data' | 'size'> {
  if (Buffer.isBuffer(content)) return { data: content };
  return content.size === 0 ? {} : { data: reader.read(content), size: content.size };
}
