import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { S_IFDIR, S_IFLNK, S_IFMT } from './cpio-format.ts';
import { type ReadCpioEntry, readCpio } from './cpio-read.ts';
import { EifError } from './errors.ts';
import type { EifSection } from './layout.ts';
import { MAX_RAMDISK_ENTRIES, MAX_RAMDISK_NAME_BYTES, MAX_UNPACKED_BYTES } from './limits.ts';
import type { ScannedEif } from './scan-eif.ts';

export type Compression = 'none' | 'gzip';

/** An entry of a ramdisk. Of a symlink the data was read already and is in `target`. */
export interface RamdiskFile extends ReadCpioEntry {
  target?: Buffer;
  /** On each further name of a file: the first one's. */
  hardLinkOf?: Buffer;
}

/** First bytes of what Linux can unpack besides plain newc archives. */
const MAGICS: readonly [string, Buffer][] = [
  ['gzip', Buffer.from('1f8b', 'hex')],
  ['zstd', Buffer.from('28b52ffd', 'hex')],
  ['xz', Buffer.from('fd377a585a00', 'hex')],
  ['lz4', Buffer.from('02214c18', 'hex')],
  ['bzip2', Buffer.from('425a68', 'hex')],
  ['lzo', Buffer.from('894c5a4f', 'hex')],
  ['lzma', Buffer.from('5d0000', 'hex')],
];

type Image = Pick<ScannedEif, 'data'>;

/** How a ramdisk is packed. Throws CPIO_COMPRESSED for a compression that cannot be unpacked here. */
export async function compressionOf(image: Image, section: EifSection): Promise<Compression> {
  const start = await collectRange(image, section, 0, Math.min(8, section.size));
  const [name] = MAGICS.find(([, magic]) => start.subarray(0, magic.length).equals(magic)) ?? ['none'];
  if (name === 'none' || name === 'gzip') return name;
  throw new EifError('CPIO_COMPRESSED', `the ramdisk is compressed with ${name}; plain ones and gzip can be read`, {
    remedy: `take it out with \`enclaver eif extract\` and unpack it with ${name}`,
  });
}

/**
 * The files of a ramdisk, in order, unpacked where it is compressed. Memory grows only with files that have several
 * names. Throws the errors of `readCpio`, CPIO_COMPRESSED and CPIO_TOO_LARGE.
 */
export async function* ramdiskFiles(image: Image, section: EifSection): AsyncGenerator<RamdiskFile> {
  const source = (await compressionOf(image, section)) === 'gzip' ? gunzip(image, section) : image.data(section);
  const firstNames = new Map<string, Buffer>();
  let entries = 0;
  let nameBytes = 0;
  for await (const entry of readCpio(source)) {
    entries += 1;
    nameBytes += entry.path.length;
    if (entries > MAX_RAMDISK_ENTRIES || nameBytes > MAX_RAMDISK_NAME_BYTES) {
      throw new EifError(
        'CPIO_TOO_LARGE',
        `the ramdisk has more than ${MAX_RAMDISK_ENTRIES} entries or ${MAX_RAMDISK_NAME_BYTES} bytes of names`,
      );
    }
    const type = entry.mode & S_IFMT;
    const file: RamdiskFile = entry;
    if (type === S_IFLNK) file.target = await collectData(entry);
    if (type !== S_IFDIR && entry.nlink > 1) {
      const key = [entry.archive, entry.dev.major, entry.dev.minor, entry.ino, type].join();
      const first = firstNames.get(key);
      if (first === undefined) firstNames.set(key, entry.path);
      else file.hardLinkOf = first;
    }
    yield file;
  }
}

async function* gunzip(image: Image, section: EifSection): AsyncGenerator<Buffer> {
  const unpacked = createGunzip({ chunkSize: 256 << 10 });
  // What went wrong comes out of the iteration below.
  pipeline(Readable.from(image.data(section), { objectMode: false }), unpacked, () => undefined);
  let size = 0;
  try {
    for await (const piece of unpacked) {
      size += piece.length;
      if (size > MAX_UNPACKED_BYTES) {
        throw new EifError('CPIO_TOO_LARGE', `the ramdisk unpacks to more than ${MAX_UNPACKED_BYTES} bytes`);
      }
      yield piece;
    }
  } catch (cause) {
    if (cause instanceof EifError) throw cause;
    throw new EifError('CPIO_COMPRESSED', `the ramdisk cannot be unpacked: ${(cause as Error).message}`, { cause });
  } finally {
    unpacked.destroy();
  }
  await refuseTail(image, section, unpacked.bytesWritten);
}

/** Linux would go on with what follows the compressed data; here it must be padding, so that nothing stays unseen. */
async function refuseTail(image: Image, section: EifSection, start: number): Promise<void> {
  for await (const piece of image.data(section, { start, end: section.size })) {
    if (piece.some((byte) => byte !== 0)) {
      throw new EifError('CPIO_COMPRESSED', `something follows the ${start} bytes of compressed data in the ramdisk`);
    }
  }
}

async function collectData(entry: ReadCpioEntry): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const piece of entry.data) parts.push(Buffer.from(piece));
  return Buffer.concat(parts);
}

async function collectRange(image: Image, section: EifSection, start: number, end: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const piece of image.data(section, { start, end })) parts.push(piece);
  return Buffer.concat(parts);
}
