import { TAR_BLOCK } from './tar-header.ts';

/** A member of an archive that we make: owner 0:0, time 0, so that the same content gives the same bytes. */
export interface TarMember {
  /** At most 100 bytes of ASCII; a folder's ends with a slash. */
  name: string;
  mode: number;
  /** Absent for a folder. */
  size?: number;
  data?: AsyncIterable<Buffer> | Buffer;
}

/** Largest size in eleven octal digits. */
const MAX_OCTAL_SIZE = 0o77777777777;

/** Writes a ustar archive. A source that gives other than `size` bytes is an error. */
export async function* writeTar(members: AsyncIterable<TarMember> | Iterable<TarMember>): AsyncGenerator<Buffer> {
  for await (const member of members) {
    const size = member.size ?? 0;
    yield encodeHeader(member, size);
    let written = 0;
    for await (const chunk of Buffer.isBuffer(member.data) ? [member.data] : (member.data ?? [])) {
      written += chunk.length;
      yield chunk;
    }
    if (written !== size) throw new Error(`${member.name} has ${written} bytes where ${size} were announced`);
    yield Buffer.alloc((TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK);
  }
  yield Buffer.alloc(2 * TAR_BLOCK);
}

/** Length of an archive of these members. */
export function tarSize(members: readonly Pick<TarMember, 'size'>[]): number {
  const blocks = members.map(({ size = 0 }) => 1 + Math.ceil(size / TAR_BLOCK));
  return (blocks.reduce((sum, count) => sum + count, 0) + 2) * TAR_BLOCK;
}

function encodeHeader({ name, mode, data }: TarMember, size: number): Buffer {
  if (!/^[\x20-\x7e]{1,100}$/.test(name)) throw new RangeError(`not a member name: ${JSON.stringify(name)}`);
  const block = Buffer.alloc(TAR_BLOCK);
  const octal = (value: number, at: number, length: number): void => {
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
  };
  block.write(name, 0, 'latin1');
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  // GNU's base-256 from 8 GiB on, as every reader of images knows it
  if (size <= MAX_OCTAL_SIZE) octal(size, 124, 12);
  else {
    block[124] = 0x80;
    block.writeBigUInt64BE(BigInt(size), 128);
  }
  octal(0, 136, 12);
  block.write(data === undefined ? '5' : '0', 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
