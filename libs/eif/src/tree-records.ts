import { createHash } from 'node:crypto';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFMT, S_IFREG } from './cpio-format.ts';
import type { FileChange, FileSide } from './diff.ts';
import { fileName } from './file-name.ts';
import type { EifSection } from './layout.ts';
import { type RamdiskFile, ramdiskFiles } from './ramdisk.ts';
import type { ScannedEif } from './scan-eif.ts';

/** A ramdisk of an image. */
export interface RamdiskOf {
  image: Pick<ScannedEif, 'data'>;
  section: EifSection;
}

/** What is compared of an entry. Names are strings of bytes (latin1): up to a million of them are held. */
export interface TreeRecord {
  /** Number of the entry in its ramdisk, from 0. */
  index: number;
  name: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtime: number;
  nlink: number;
  rdev?: { major: number; minor: number };
  /** Of a regular file. */
  sha256?: string;
  target?: string;
  hardLinkOf?: string;
  /** Of the data, in the unpacked archive. */
  offset: number;
}

/** The entries of a ramdisk in order, the content of files read. */
export async function* treeRecords({ image, section }: RamdiskOf): AsyncGenerator<TreeRecord> {
  let index = 0;
  for await (const file of ramdiskFiles(image, section)) {
    const type = file.mode & S_IFMT;
    yield {
      index,
      name: file.path.toString('latin1'),
      mode: file.mode,
      uid: file.uid,
      gid: file.gid,
      size: file.size,
      mtime: file.mtime,
      nlink: file.nlink,
      ...(type === S_IFCHR || type === S_IFBLK ? { rdev: file.rdev } : {}),
      ...(type === S_IFREG ? { sha256: await sha256Of(file) } : {}),
      ...(file.target === undefined ? {} : { target: file.target.toString('latin1') }),
      ...(file.hardLinkOf === undefined ? {} : { hardLinkOf: file.hardLinkOf.toString('latin1') }),
      offset: file.offset,
    };
    index += 1;
  }
}

/** In which ways two entries of one name differ. Inode numbers and the link counts of folders do not matter. */
export function changesBetween(a: TreeRecord, b: TreeRecord): FileChange[] {
  const sameType = (a.mode & S_IFMT) === (b.mode & S_IFMT);
  const checks: [FileChange, boolean][] = [
    ['type', !sameType],
    ['mode', (a.mode & ~S_IFMT) !== (b.mode & ~S_IFMT)],
    ['owner', a.uid !== b.uid || a.gid !== b.gid],
    ['content', a.sha256 !== undefined && b.sha256 !== undefined && a.sha256 !== b.sha256],
    ['target', a.target !== undefined && b.target !== undefined && a.target !== b.target],
    ['mtime', a.mtime !== b.mtime],
    ['links', sameType && (a.hardLinkOf !== b.hardLinkOf || linkCount(a) !== linkCount(b))],
    ['device', a.rdev?.major !== b.rdev?.major || a.rdev?.minor !== b.rdev?.minor],
  ];
  return checks.filter(([, differs]) => differs).map(([change]) => change);
}

export function sideOf(record: TreeRecord): FileSide {
  const { mode, uid, gid, size, mtime, rdev, sha256, target, hardLinkOf } = record;
  return {
    mode,
    uid,
    gid,
    size,
    mtime,
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(target === undefined ? {} : { target: fileName(Buffer.from(target, 'latin1')) }),
    ...(rdev === undefined ? {} : { rdev }),
    ...(hardLinkOf === undefined ? {} : { hardLinkOf: fileName(Buffer.from(hardLinkOf, 'latin1')) }),
  };
}

/** A folder's count follows from the folders in it. */
function linkCount({ mode, nlink }: TreeRecord): number | undefined {
  return (mode & S_IFMT) === S_IFDIR ? undefined : nlink;
}

async function sha256Of(file: RamdiskFile): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of file.data) hash.update(piece);
  return hash.digest('hex');
}
