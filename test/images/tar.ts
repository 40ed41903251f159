/**
 * A tar writer for test images: it writes whatever it is told, well-formed or hostile, and always the same bytes for the
 * same entries. Apart from the product's code, so that each checks the other.
 */

export interface TarEntry {
  name: string | Buffer;
  /** Default: a file, or what `link`, `major` and a closing slash suggest. */
  type?: keyof typeof TYPES;
  /** Default 0644, folders 0755, symlinks 0777. */
  mode?: number;
  uid?: number;
  gid?: number;
  content?: string | Buffer;
  /** Target of a symlink (default type) or hard link. */
  link?: string | Buffer;
  major?: number;
  minor?: number;
  /** PAX records before the entry. */
  pax?: Record<string, string | Buffer>;
  /** Size in the header, where it shall not be that of the content. */
  announce?: number;
  /** Where a name is longer than the header takes: PAX, which is the default, or GNU's own way. */
  long?: 'pax' | 'gnu';
}

const TYPES = {
  file: '0',
  'hard-link': '1',
  symlink: '2',
  'char-device': '3',
  'block-device': '4',
  directory: '5',
  fifo: '6',
  contiguous: '7',
  sparse: 'S',
  old: '\0',
  global: 'g',
} as const;

const BLOCK = 512;
const NAME_BYTES = 100;

/** A whole archive, with its two closing blocks unless `open`. */
export function tar(entries: readonly TarEntry[], options: { open?: boolean } = {}): Buffer {
  const parts = entries.flatMap(encode);
  return Buffer.concat(options.open === true ? parts : [...parts, Buffer.alloc(2 * BLOCK)]);
}

function encode(entry: TarEntry): Buffer[] {
  const name = Buffer.from(entry.name);
  const link = Buffer.from(entry.link ?? '');
  const content = Buffer.from(entry.content ?? '');
  const pax: Record<string, string | Buffer> = { ...entry.pax };
  const parts: Buffer[] = [];
  if (entry.long === 'gnu') {
    if (name.length > NAME_BYTES) parts.push(...gnuLong('L', name));
    if (link.length > NAME_BYTES) parts.push(...gnuLong('K', link));
  } else {
    if (name.length > NAME_BYTES) pax.path ??= name;
    if (link.length > NAME_BYTES) pax.linkpath ??= link;
  }
  const records = Object.entries(pax).map(([key, value]) => paxRecord(key, value));
  if (records.length > 0) {
    const body = Buffer.concat(records);
    parts.push(header(Buffer.from('pax'), 'x', { name: 'pax', mode: 0o644 }, body.length), padded(body));
  }
  const type = entry.type ?? typeOf(entry);
  parts.push(header(name, TYPES[type], entry, entry.announce ?? content.length, type), padded(content));
  return parts;
}

function typeOf(entry: TarEntry): keyof typeof TYPES {
  if (entry.link !== undefined) return 'symlink';
  if (entry.major !== undefined) return 'char-device';
  return Buffer.from(entry.name).at(-1) === 0x2f ? 'directory' : 'file';
}

function gnuLong(flag: string, text: Buffer): Buffer[] {
  const body = Buffer.concat([text, Buffer.alloc(1)]);
  return [header(Buffer.from('././@LongLink'), flag, { name: '', mode: 0 }, body.length), padded(body)];
}

function paxRecord(key: string, value: string | Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')]);
  let length = body.length + 1;
  while (String(length).length + body.length !== length) length = String(length).length + body.length;
  return Buffer.concat([Buffer.from(String(length)), body]);
}

function header(name: Buffer, flag: string, entry: TarEntry, size: number, type?: keyof typeof TYPES): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, length: number): void => {
    const digits = value.toString(8);
    if (digits.length < length) {
      block.write(digits.padStart(length - 1, '0'), at, 'latin1');
      return;
    }
    block.writeBigUInt64BE(BigInt(value), at + length - 8);
    block[at] = (block[at] ?? 0) | 0x80;
  };
  const mode = type === 'directory' ? 0o755 : type === 'symlink' ? 0o777 : 0o644;
  name.copy(block, 0, 0, NAME_BYTES);
  octal(entry.mode ?? mode, 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.write(flag, 156, 'latin1');
  Buffer.from(entry.link ?? '').copy(block, 157, 0, NAME_BYTES);
  block.write(entry.long === 'gnu' ? 'ustar  \0' : 'ustar\x0000', 257, 'latin1');
  octal(entry.major ?? 0, 329, 8);
  octal(entry.minor ?? 0, 337, 8);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function padded(body: Buffer): Buffer {
  return Buffer.concat([body, Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK)]);
}
