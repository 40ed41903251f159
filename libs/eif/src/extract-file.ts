import { S_IFMT, S_IFREG } from './cpio-format.ts';
import { EifError } from './errors.ts';
import { showMode } from './file-mode.ts';
import { showName } from './file-name.ts';
import type { EifSection } from './layout.ts';
import { type RamdiskFile, ramdiskFiles } from './ramdisk.ts';
import type { ScannedEif } from './scan-eif.ts';

export interface RamdiskFileContent {
  mode: number;
  /** Bytes. */
  size: number;
  data: AsyncIterable<Buffer>;
}

/** Where an entry stands. Its inode number says which other names are the same file. */
interface Place {
  section: EifSection;
  index: number;
  entry: Omit<RamdiskFile, 'data'>;
}

/**
 * A regular file of the ramdisks, as it is once Linux has unpacked them: of several entries of one name the last
 * counts, and a hard link has the content of its file. Undefined when there is no such name. Throws CPIO_NOT_A_FILE for
 * a folder, symlink or device, and the errors of `ramdiskFiles`.
 */
export async function openRamdiskFile(
  image: Pick<ScannedEif, 'data'>,
  ramdisks: readonly EifSection[],
  name: Buffer,
): Promise<RamdiskFileContent | undefined> {
  const named = await findLast(image, ramdisks, ({ path }) => path.equals(name));
  if (named === undefined) return undefined;
  const { mode, target, nlink, size } = named.entry;
  if ((mode & S_IFMT) !== S_IFREG) {
    const what = target === undefined ? `is ${showMode(mode)}` : `is a symlink to ${showName(target)}`;
    throw new EifError('CPIO_NOT_A_FILE', `${showName(name)} ${what}; only regular files can be taken out`, {
      remedy: 'name a file; links are not followed',
    });
  }
  // The data of a file with several names stands with one of them: the first here, the last in GNU cpio's archives.
  const isSame = (each: Place['entry']): boolean =>
    each.size > 0 && (each.mode & S_IFMT) === S_IFREG && identity(each) === identity(named.entry);
  const content = nlink > 1 && size === 0 ? ((await findLast(image, [named.section], isSame)) ?? named) : named;
  return { mode, size: content.entry.size, data: dataAt(image, content) };
}

async function findLast(
  image: Pick<ScannedEif, 'data'>,
  ramdisks: readonly EifSection[],
  matches: (entry: Place['entry']) => boolean,
): Promise<Place | undefined> {
  let found: Place | undefined;
  for (const section of ramdisks) {
    let index = 0;
    for await (const { data: _, ...entry } of ramdiskFiles(image, section)) {
      if (matches(entry)) found = { section, index, entry };
      index += 1;
    }
  }
  return found;
}

async function* dataAt(image: Pick<ScannedEif, 'data'>, place: Place): AsyncGenerator<Buffer> {
  let index = 0;
  for await (const entry of ramdiskFiles(image, place.section)) {
    if (index === place.index) {
      yield* entry.data;
      return;
    }
    index += 1;
  }
}

function identity({ archive, dev, ino }: Place['entry']): string {
  return [archive, dev.major, dev.minor, ino].join();
}
