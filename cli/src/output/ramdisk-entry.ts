import { fileName, type RamdiskFile, S_IFBLK, S_IFCHR, S_IFMT, showMode, showName } from '@enclaver/eif';

/** One line of `enclaver eif ls`: the name, or with `long` what `ls -l` shows, after the number of the ramdisk. */
export function ramdiskLine(ramdisk: number, file: RamdiskFile, long: boolean): string {
  const name = showName(file.path);
  if (!long) return `${name}\n`;
  const size = isDevice(file) ? `${file.rdev.major},${file.rdev.minor}` : String(file.size);
  const owner = `${file.uid}/${file.gid}`;
  const columns = [ramdisk, showMode(file.mode), owner.padEnd(9), size.padStart(10), name].join(' ');
  return `${columns}${link(file)}\n`;
}

function link({ target, hardLinkOf }: RamdiskFile): string {
  if (target !== undefined) return ` -> ${showName(target)}`;
  return hardLinkOf === undefined ? '' : ` link to ${showName(hardLinkOf)}`;
}

/** The same for programs; names that are not UTF-8 come in base64, too. */
export function ramdiskEntry(ramdisk: number, file: RamdiskFile): Record<string, unknown> {
  const { path, mode, uid, gid, size, mtime, nlink, ino, rdev, target, hardLinkOf } = file;
  return {
    ramdisk,
    ...fileName(path),
    mode,
    uid,
    gid,
    size,
    mtime,
    nlink,
    ino,
    ...(isDevice(file) ? { rdev } : {}),
    ...(target === undefined ? {} : { target: fileName(target) }),
    ...(hardLinkOf === undefined ? {} : { hardLinkOf: fileName(hardLinkOf) }),
  };
}

function isDevice({ mode }: RamdiskFile): boolean {
  const type = mode & S_IFMT;
  return type === S_IFCHR || type === S_IFBLK;
}
