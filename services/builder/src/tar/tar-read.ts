import { BuilderError } from '../builder-error.ts';
import { limits } from '../limits.ts';
import type { ByteInput } from './byte-input.ts';
import { decodePax, decodeTarHeader, invalid, TAR_BLOCK, type TarHeader } from './tar-header.ts';

export type TarEntryType = 'file' | 'hard-link' | 'symlink' | 'char-device' | 'block-device' | 'directory' | 'fifo';

export interface TarEntry {
  type: TarEntryType;
  /** Bytes of the name as they stand, one character each (latin1): tar knows no encoding. */
  name: string;
  /** Permission bits, 07777. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of data; 0 for all but files. */
  size: number;
  /** Where the data begins in the archive. */
  offset: number;
  /** Target of a link, latin1. */
  linkName: string;
  devMajor: number;
  devMinor: number;
  /** Extended attributes, file capabilities among them, that the entry carries. */
  xattrs: number;
}

const TYPES: Readonly<Record<string, TarEntryType>> = {
  '0': 'file',
  '\0': 'file',
  '1': 'hard-link',
  '2': 'symlink',
  '3': 'char-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
  '7': 'file',
};

/**
 * Reads a tar archive (v7, ustar, GNU, PAX) and skips the data that nobody has taken from the input. Own code since the formats'
 * readers on npm take names for UTF-8 and leave out PAX owners. Throws IMAGE_INVALID, IMAGE_TRUNCATED, IMAGE_TOO_LARGE.
 */
export async function* readTar(input: ByteInput): AsyncGenerator<TarEntry> {
  let pax = new Map<string, string>();
  let longName: string | undefined;
  let longLink: string | undefined;
  for (;;) {
    const at = input.position;
    const block = await input.take(TAR_BLOCK);
    // Some writers leave out the closing blocks; a digest says elsewhere whether the end is the end
    if (block.length === 0) return;
    if (block.length < TAR_BLOCK) throw truncated(input.position);
    const header = decodeTarHeader(block, at);
    if (header === undefined) {
      // Where a lone one stands between entries, some readers go on and some stop: they would see two different images
      const second = await input.take(TAR_BLOCK);
      if (second.some((byte) => byte !== 0)) throw invalid(at, 'a block of zeros stands before further entries');
      return;
    }
    switch (header.typeflag) {
      case 'x':
      case 'X':
        pax = decodePax(await extension(input, header, at), at);
        continue;
      // For all entries that follow; container engines leave it out too
      case 'g':
        decodePax(await extension(input, header, at), at);
        continue;
      case 'L':
        longName = untilNul(await extension(input, header, at));
        continue;
      case 'K':
        longLink = untilNul(await extension(input, header, at));
        continue;
    }
    const entry = makeEntry(header, pax, longName, longLink, input.position, at);
    pax = new Map();
    longName = undefined;
    longLink = undefined;
    const end = input.position + padded(entry.size);
    yield entry;
    if (!(await input.skip(end - input.position))) throw truncated(input.position);
  }
}

function makeEntry(
  header: TarHeader,
  pax: ReadonlyMap<string, string>,
  longName: string | undefined,
  longLink: string | undefined,
  offset: number,
  at: number,
): TarEntry {
  const name = longText(pax.get('path'), longName, 'names', at) ?? header.name;
  const flagged = TYPES[header.typeflag];
  if (flagged === undefined) throw invalid(at, `its type is ${JSON.stringify(header.typeflag)}, which no image uses`);
  let xattrs = 0;
  for (const key of pax.keys()) {
    if (key.startsWith('GNU.sparse.')) throw invalid(at, 'it is a sparse file');
    if (key.startsWith('SCHILY.xattr.') || key.startsWith('LIBARCHIVE.xattr.')) xattrs += 1;
  }
  // Before there was a type for directories, a slash at the end said so
  const isOldDir = header.typeflag === '\0' && name.endsWith('/');
  const stated = decimal(pax, 'size', header.size, at);
  // Readers that skip the data and readers that take it for entries would see two different images
  if (isOldDir && stated > 0) throw invalid(at, `it is a folder with ${stated} bytes of data`);
  const type = isOldDir ? 'directory' : flagged;
  const size = type === 'file' ? stated : 0;
  const linkName = longText(pax.get('linkpath'), longLink, 'link targets', at) ?? header.linkName;
  if (name.includes('\0') || linkName.includes('\0')) throw invalid(at, 'its name holds a NUL');
  return {
    type,
    name,
    mode: header.mode,
    uid: decimal(pax, 'uid', header.uid, at),
    gid: decimal(pax, 'gid', header.gid, at),
    size,
    offset,
    linkName,
    devMajor: header.devMajor,
    devMinor: header.devMinor,
    xattrs,
  };
}

/** Characters of a name in a message: more would hide what the message says. */
const SHOWN = 120;

/** A byte string (latin1) as text for a message, quoted and cut. */
export function showName(bytes: string): string {
  const text = Buffer.from(bytes, 'latin1').toString('utf8');
  return JSON.stringify(text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);
}

/** A name may stand in PAX and in GNU form. Which one counts differs among readers, so that both must be the same. */
function longText(pax: string | undefined, gnu: string | undefined, what: string, at: number): string | undefined {
  if (pax !== undefined && gnu !== undefined && pax !== gnu) throw invalid(at, `it has two different ${what}`);
  return pax ?? gnu;
}

function decimal(pax: ReadonlyMap<string, string>, key: string, other: number, at: number): number {
  const text = pax.get(key);
  if (text === undefined) return other;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw invalid(at, `its ${key} is ${JSON.stringify(text)}`);
  return value;
}

async function extension(input: ByteInput, header: TarHeader, at: number): Promise<Buffer> {
  if (header.size > limits.paxBytes) {
    throw invalid(at, `its extended header has ${header.size} bytes; at most ${limits.paxBytes} are allowed`);
  }
  const bytes = Buffer.from(await input.take(header.size));
  if (bytes.length < header.size) throw truncated(input.position);
  if (!(await input.skip(padded(header.size) - header.size))) throw truncated(input.position);
  return bytes;
}

function untilNul(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end === -1 ? bytes.length : end);
}

function padded(size: number): number {
  return Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
}

function truncated(position: number): BuilderError {
  return new BuilderError('IMAGE_TRUNCATED', `a tar archive of the image ends at byte ${position}, within an entry`, {
    remedy: 'export or fetch the image again',
  });
}
