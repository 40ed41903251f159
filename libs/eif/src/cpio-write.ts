import { asBuffer, type ByteSource, pieces } from './byte-source.ts';
import {
  encodeCpioHeader,
  FILE_TYPES,
  roundUp,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  TRAILER,
} from './cpio-format.ts';
import { EifError } from './errors.ts';
import {
  GATHER_BYTES,
  MAX_CPIO_FILE_BYTES,
  MAX_LINK_TARGET_BYTES,
  MAX_NAME_BYTES,
  PASS_THROUGH_BYTES,
} from './limits.ts';

export interface CpioEntry {
  /** Relative, `/` between components, no `.`, `..` or empty component. A string is taken as UTF-8. */
  path: string | Uint8Array;
  /** Permission bits and file type bits, as in `stat(2)`. */
  mode: number;
  /** Default 0. */
  uid?: number;
  /** Default 0. */
  gid?: number;
  /** Device number of a character or block device. */
  rdev?: { major: number; minor: number };
  /** Content of a file; for a symlink its target. */
  data?: ByteSource;
  /** Bytes of `data`. Needed when `data` comes in pieces, since it is written before them. */
  size?: number;
  /** On the first name of a file with hard links: how many names it has in this archive. Default 1. */
  nlink?: number;
  /** On each further name: the first one's path. The data stands with the first name only. */
  hardLinkOf?: string | Uint8Array;
}

/** Archives end on a multiple of this: GNU cpio does so, and Linux needs a multiple of four. */
const ARCHIVE_BLOCK_BYTES = 512;
/** Kernels may keep it, and it is measured: one fixed time. Not 0, which some tools take for "unknown". */
const MTIME = 1;

interface Link {
  ino: number;
  mode: number;
  uid: number;
  gid: number;
  /** Names still to come. */
  open: number;
  nlink: number;
}

/**
 * Writes a newc archive for Linux's initramfs, in the order of the entries: times 1, device 0, inode numbers counted
 * from 1, so that the bytes depend on nothing but the entries. Its length is a multiple of 512.
 *
 * Throws EifError: CPIO_PATH for a path that Linux would refuse or that leaves the root, CPIO_SIZE when data and size
 * differ or a file has 4 GiB or more, CPIO_ENTRY for any other entry that cannot be carried.
 */
export async function* cpio(entries: AsyncIterable<CpioEntry> | Iterable<CpioEntry>): AsyncGenerator<Buffer> {
  const out = new Gatherer();
  const links = new Map<string, Link>();
  let ino = 0;
  for await (const entry of entries) {
    const name = checkPath(entry.path);
    const type = checkMode(entry, name);
    const size = dataSize(entry, type, name);
    const link = entry.hardLinkOf === undefined ? undefined : findLink(links, entry, name);
    if (link === undefined) ino += 1;
    const nlink = link?.nlink ?? (type === S_IFDIR ? 2 : (entry.nlink ?? 1));
    const header = {
      ino: link?.ino ?? ino,
      mode: entry.mode,
      uid: field(entry.uid ?? 0, 'uid', name),
      gid: field(entry.gid ?? 0, 'gid', name),
      nlink,
    };
    if (link === undefined && type !== S_IFDIR && nlink > 1) {
      links.set(name.toString('latin1'), { ...header, open: nlink - 1 });
    }
    const rdevMajor = field(entry.rdev?.major ?? 0, 'device number', name);
    const rdevMinor = field(entry.rdev?.minor ?? 0, 'device number', name);
    yield* out.add(
      encodeCpioHeader({ ...header, mtime: MTIME, size, devMajor: 0, devMinor: 0, rdevMajor, rdevMinor }, name),
    );
    let given = 0;
    if (entry.data !== undefined) {
      for await (const piece of pieces(entry.data)) {
        given += piece.length;
        if (given > size) break;
        yield* out.add(piece);
      }
    }
    if (given !== size) {
      const found = given > size ? `more than ${size}` : `only ${given} of ${size}`;
      throw new EifError('CPIO_SIZE', `${shown(name)} gave ${found} bytes announced`, {
        remedy: 'do not change the file while it is packed',
      });
    }
    yield* out.pad(4);
  }
  for (const [name, link] of links) {
    if (link.open > 0) {
      const path = shown(Buffer.from(name, 'latin1'));
      throw new EifError('CPIO_ENTRY', `${path} announced ${link.nlink} names; ${link.open} of them did not come`);
    }
  }
  const zero = { ino: 0, mode: 0, uid: 0, gid: 0, nlink: 1, mtime: 0, size: 0 };
  const trailer = { ...zero, devMajor: 0, devMinor: 0, rdevMajor: 0, rdevMinor: 0 };
  yield* out.add(encodeCpioHeader(trailer, TRAILER));
  yield* out.pad(ARCHIVE_BLOCK_BYTES);
  yield* out.flush();
}

/** Gathers small pieces into blocks and keeps count of the position. What was given out is never written again. */
class Gatherer {
  #block = Buffer.allocUnsafeSlow(GATHER_BYTES);
  /** The part of the block that was gathered and not given out. */
  #start = 0;
  #end = 0;
  #position = 0;

  *add(bytes: Uint8Array): Generator<Buffer, void, void> {
    this.#position += bytes.length;
    if (bytes.length >= PASS_THROUGH_BYTES) {
      yield* this.flush();
      yield asBuffer(bytes);
      return;
    }
    if (this.#end + bytes.length > GATHER_BYTES) {
      yield* this.flush();
      this.#block = Buffer.allocUnsafeSlow(GATHER_BYTES);
      this.#start = 0;
      this.#end = 0;
    }
    this.#block.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  *pad(multiple: number): Generator<Buffer, void, void> {
    yield* this.add(Buffer.alloc(roundUp(this.#position, multiple) - this.#position));
  }

  *flush(): Generator<Buffer, void, void> {
    if (this.#end > this.#start) yield this.#block.subarray(this.#start, this.#end);
    this.#start = this.#end;
  }
}

function checkPath(path: string | Uint8Array): Buffer {
  const name = Buffer.from(path);
  const refuse = (why: string): EifError => new EifError('CPIO_PATH', `path ${shown(name)} ${why}`);
  if (name.length === 0) throw refuse('is empty');
  if (name.length + 1 > MAX_NAME_BYTES) throw refuse(`has ${name.length} bytes; at most ${MAX_NAME_BYTES - 1} fit`);
  if (name.includes(0)) throw refuse('holds a NUL byte');
  if (name.equals(TRAILER)) throw refuse('is the name that ends an archive');
  if (name[0] === 0x2f) throw refuse('is absolute; only paths relative to the root are allowed');
  for (const component of name.toString('latin1').split('/')) {
    if (component === '' || component === '.' || component === '..') {
      throw refuse(`has a component "${component}"; empty ones, "." and ".." are not allowed`);
    }
  }
  return name;
}

function checkMode(entry: CpioEntry, name: Buffer): number {
  const type = entry.mode & S_IFMT;
  const valid = Number.isInteger(entry.mode) && entry.mode >= 0 && entry.mode <= 0o177777 && FILE_TYPES.includes(type);
  if (!valid) {
    throw new EifError('CPIO_ENTRY', `${shown(name)} has mode 0${entry.mode.toString(8)}, which holds no file type`);
  }
  if (entry.rdev !== undefined && type !== S_IFCHR && type !== S_IFBLK) {
    throw new EifError('CPIO_ENTRY', `${shown(name)} has a device number but is no device`);
  }
  if (entry.nlink !== undefined && (!Number.isInteger(entry.nlink) || entry.nlink < 1 || type === S_IFDIR)) {
    throw new EifError(
      'CPIO_ENTRY',
      `${shown(name)} has link count ${entry.nlink}; it must be 1 or more, on no directory`,
    );
  }
  return type;
}

function dataSize(entry: CpioEntry, type: number, name: Buffer): number {
  const size = entry.data instanceof Uint8Array ? entry.data.length : (entry.size ?? 0);
  if (entry.size !== undefined && entry.size !== size) {
    throw new EifError('CPIO_SIZE', `${shown(name)} has ${size} bytes but announces ${entry.size}`);
  }
  if (entry.data !== undefined && !(entry.data instanceof Uint8Array) && entry.size === undefined) {
    throw new EifError('CPIO_ENTRY', `${shown(name)} comes in pieces without a size; the size must be given`);
  }
  if (!Number.isInteger(size) || size < 0 || size > MAX_CPIO_FILE_BYTES) {
    throw new EifError('CPIO_SIZE', `${shown(name)} has ${size} bytes; at most ${MAX_CPIO_FILE_BYTES} fit`, {
      remedy: 'keep files of 4 GiB and more out of the image',
    });
  }
  if (type === S_IFLNK && entry.hardLinkOf === undefined && (size === 0 || size > MAX_LINK_TARGET_BYTES)) {
    throw new EifError(
      'CPIO_SIZE',
      `symlink ${shown(name)} has a target of ${size} bytes; allowed are 1 to ${MAX_LINK_TARGET_BYTES}`,
    );
  }
  if (size > 0 && ((type !== S_IFREG && type !== S_IFLNK) || entry.hardLinkOf !== undefined)) {
    throw new EifError('CPIO_ENTRY', `${shown(name)} has data; only files, symlinks and first names of links may`);
  }
  return size;
}

function findLink(links: Map<string, Link>, entry: CpioEntry, name: Buffer): Link {
  const first = Buffer.from(entry.hardLinkOf ?? '');
  const link = links.get(first.toString('latin1'));
  if (link === undefined || link.open === 0) {
    throw new EifError(
      'CPIO_ENTRY',
      `${shown(name)} is a link to ${shown(first)}, which did not come before with a link count that leaves room for it`,
      { remedy: 'give the first name of the file `nlink`, the number of all its names' },
    );
  }
  if (link.mode !== entry.mode || link.uid !== (entry.uid ?? 0) || link.gid !== (entry.gid ?? 0)) {
    throw new EifError('CPIO_ENTRY', `${shown(name)} is a link to ${shown(first)} but has another mode or owner`);
  }
  link.open -= 1;
  return link;
}

function field(value: number, what: string, name: Buffer): number {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw new EifError('CPIO_ENTRY', `${shown(name)} has ${what} ${value}; allowed are 0 to 4294967295`);
  }
  return value;
}

function shown(name: Buffer): string {
  return JSON.stringify(name.toString('utf8'));
}
