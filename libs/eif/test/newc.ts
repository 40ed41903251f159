import { encodeCpioHeader, roundUp, S_IFREG } from '../src/cpio-format.ts';

export interface RawEntry {
  name: string | Uint8Array;
  mode?: number;
  data?: Uint8Array | string;
  /** What the header says, whatever the data has. */
  size?: number;
  ino?: number;
  nlink?: number;
  mtime?: number;
  rdevMajor?: number;
  rdevMinor?: number;
}

const NUMBERS = { ino: 1, mode: S_IFREG | 0o644, uid: 0, gid: 0, nlink: 1, mtime: 1, devMajor: 0, devMinor: 0 };

/** A newc archive of any entries, also of those that our writer refuses. */
export function newc(entries: readonly RawEntry[], trailer: RawEntry = { name: 'TRAILER!!!', mode: 0 }): Buffer {
  const parts = [...entries, trailer].flatMap(({ name, data = '', ...numbers }) => {
    const bytes = Buffer.from(data);
    const header = { ...NUMBERS, rdevMajor: 0, rdevMinor: 0, size: bytes.length, ...numbers };
    return [encodeCpioHeader(header, Buffer.from(name)), bytes, Buffer.alloc(roundUp(bytes.length, 4) - bytes.length)];
  });
  return Buffer.concat(parts);
}
