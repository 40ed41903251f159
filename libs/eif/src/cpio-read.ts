import { type ByteSource, pieces } from './byte-source.ts';
import {
  CPIO_HEADER_BYTES,
  type CpioHeader,
  decodeCpioHeader,
  FILE_TYPES,
  roundUp,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  TRAILER,
} from './cpio-format.ts';
import { EifError } from './errors.ts';
import { FIND_MAX_BYTES, MAX_LINK_TARGET_BYTES } from './limits.ts';

export interface ReadCpioEntry {
  /** The bytes of the name, without its NUL, as they stand: it may be absolute or hold `..` in a foreign archive. */
  path: Buffer;
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of data that stand with this name. */
  size: number;
  nlink: number;
  ino: number;
  mtime: number;
  /** Device that the file was on. With `ino` it says which names of one archive are the same file. */
  dev: { major: number; minor: number };
  rdev: { major: number; minor: number };
  /** Bytes that stand before the data in the source. */
  offset: number;
  /** Number of the archive among those joined, from 0. Inode numbers count within one archive. */
  archive: number;
  /** To be read, if at all, before the next entry is asked for. */
  data: AsyncIterable<Buffer>;
}

/**
 * Reads newc archives that follow each other, as Linux reads an initramfs: zero bytes may stand between them, and each
 * begins at a multiple of four. Memory is bounded by the pieces of the source. Throws EifError with CPIO_HEADER
 * (malformed), CPIO_TRUNCATED (ends early, or holds no archive).
 */
export async function* readCpio(source: ByteSource): AsyncGenerator<ReadCpioEntry> {
  const input = new Input(source);
  try {
    for (let archive = 0; await input.skipZeros(archive === 0); archive += 1) {
      if (input.position % 4 !== 0) {
        throw new EifError('CPIO_HEADER', `an archive begins at byte ${input.position}, not at a multiple of 4`);
      }
      for (;;) {
        const at = input.position;
        const header = decodeCpioHeader(await input.take(CPIO_HEADER_BYTES), at);
        const path = await readName(input, header, at);
        if (path.equals(TRAILER)) {
          if (header.size !== 0) throw new EifError('CPIO_HEADER', `the trailer at byte ${at} has data`);
          break;
        }
        checkEntry(header, path, at);
        const data = input.span(header.size);
        const { mode, uid, gid, size, nlink, ino, mtime } = header;
        const dev = { major: header.devMajor, minor: header.devMinor };
        const rdev = { major: header.rdevMajor, minor: header.rdevMinor };
        const offset = input.position;
        yield { path, mode, uid, gid, size, nlink, ino, mtime, dev, rdev, offset, archive, data };
        await input.finishSpan();
        await input.skipPadding();
      }
    }
  } finally {
    await input.close();
  }
}

/**
 * The content of one regular file of an initramfs, or undefined when it holds no such path. When the path comes twice
 * the later one counts, as for Linux. Throws CPIO_TOO_LARGE above `maxBytes` (default 1 MiB), CPIO_NOT_A_FILE when the
 * path is something else, or a further name of a hard link (whose data stands elsewhere).
 */
export async function findInCpio(
  source: ByteSource,
  path: string | Uint8Array,
  { maxBytes = FIND_MAX_BYTES }: { maxBytes?: number } = {},
): Promise<Buffer | undefined> {
  const wanted = Buffer.from(path);
  let found: Buffer | undefined;
  for await (const entry of readCpio(source)) {
    if (!entry.path.equals(wanted)) continue;
    const shown = JSON.stringify(wanted.toString('utf8'));
    if ((entry.mode & S_IFMT) !== S_IFREG || (entry.nlink > 1 && entry.size === 0)) {
      throw new EifError('CPIO_NOT_A_FILE', `${shown} has mode 0${entry.mode.toString(8)}; it must be a plain file`);
    }
    if (entry.size > maxBytes) {
      throw new EifError('CPIO_TOO_LARGE', `${shown} has ${entry.size} bytes; at most ${maxBytes} are allowed`);
    }
    found = Buffer.alloc(entry.size);
    let used = 0;
    for await (const piece of entry.data) used += piece.copy(found, used);
  }
  return found;
}

async function readName(input: Input, header: CpioHeader, at: number): Promise<Buffer> {
  const name = await input.take(header.nameSize);
  if (name.indexOf(0) !== name.length - 1) {
    throw new EifError('CPIO_HEADER', `the name of the entry at byte ${at} does not end with its only NUL`);
  }
  await input.skipPadding();
  return name.subarray(0, -1);
}

function checkEntry(header: CpioHeader, path: Buffer, at: number): void {
  const type = header.mode & S_IFMT;
  const shown = `${JSON.stringify(path.toString('utf8'))} at byte ${at}`;
  if (header.mode > 0o177777 || !FILE_TYPES.includes(type)) {
    throw new EifError('CPIO_HEADER', `${shown} has mode 0${header.mode.toString(8)}, which holds no file type`);
  }
  if (header.size > 0 && type !== S_IFREG && type !== S_IFLNK) {
    throw new EifError('CPIO_HEADER', `${shown} has data but is neither a file nor a symlink`);
  }
  if (type === S_IFLNK && header.size > MAX_LINK_TARGET_BYTES) {
    throw new EifError('CPIO_HEADER', `symlink ${shown} has a target of ${header.size} bytes; Linux would skip it`);
  }
}

/** A source read forward by count. */
class Input {
  position = 0;
  readonly #pieces: AsyncGenerator<Buffer, void, void>;
  #piece: Buffer = Buffer.alloc(0);
  #spanLeft = 0;
  #spans = 0;

  constructor(source: ByteSource) {
    this.#pieces = pieces(source);
  }

  /** Exactly `length` bytes, copied. */
  async take(length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    for (let used = 0; used < length; ) used += (await this.#some(length - used)).copy(bytes, used);
    return bytes;
  }

  /** The next `length` bytes, to be read now or skipped by `finishSpan`. */
  span(length: number): AsyncIterable<Buffer> {
    this.#spanLeft = length;
    this.#spans += 1;
    const span = this.#spans;
    const next = async (): Promise<Buffer | undefined> => {
      if (span !== this.#spans) throw new Error('the data of a cpio entry was read after the next entry was asked for');
      if (this.#spanLeft === 0) return undefined;
      const some = await this.#some(this.#spanLeft);
      this.#spanLeft -= some.length;
      return some;
    };
    return {
      async *[Symbol.asyncIterator]() {
        for (let some = await next(); some !== undefined; some = await next()) yield some;
      },
    };
  }

  async finishSpan(): Promise<void> {
    while (this.#spanLeft > 0) this.#spanLeft -= (await this.#some(this.#spanLeft)).length;
  }

  async skipPadding(): Promise<void> {
    const padding = roundUp(this.position, 4) - this.position;
    if (padding > 0 && !(await this.take(padding)).equals(Buffer.alloc(padding))) {
      throw new EifError('CPIO_HEADER', `the padding before byte ${this.position} is not zero`);
    }
  }

  /** Skips zero bytes; true when something follows. The first archive may have none before it and must be there. */
  async skipZeros(first: boolean): Promise<boolean> {
    while (await this.#fill()) {
      const other = first ? 0 : this.#piece.findIndex((byte) => byte !== 0);
      const zeros = other === -1 ? this.#piece.length : other;
      this.#advance(zeros);
      if (other !== -1) return true;
    }
    if (first) throw new EifError('CPIO_TRUNCATED', 'there are no bytes where an archive should be');
    return false;
  }

  async close(): Promise<void> {
    await this.#pieces.return();
  }

  async #some(max: number): Promise<Buffer> {
    if (!(await this.#fill())) {
      throw new EifError('CPIO_TRUNCATED', `the archive ends at byte ${this.position}, before its trailer`);
    }
    const some = this.#piece.subarray(0, max);
    this.#advance(some.length);
    return some;
  }

  #advance(count: number): void {
    this.#piece = this.#piece.subarray(count);
    this.position += count;
  }

  async #fill(): Promise<boolean> {
    while (this.#piece.length === 0) {
      const next = await this.#pieces.next();
      if (next.done) return false;
      this.#piece = next.value;
    }
    return true;
  }
}
