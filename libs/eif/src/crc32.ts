import { crc32 } from 'node:zlib';

/** A running CRC-32/ISO-HDLC that knows how many bytes it covers, so that two of them can be joined. */
export class Crc32 {
  value = 0;
  length = 0;

  update(bytes: Uint8Array): this {
    this.value = crc32(bytes, this.value);
    this.length += bytes.length;
    return this;
  }

  /** Continues as if the bytes behind `next` had been given to `update`. */
  append(next: Crc32): this {
    this.value = joinCrc32(this.value, next.value, next.length);
    this.length += next.length;
    return this;
  }
}

/**
 * CRC of two byte strings joined, from their CRCs and the length of the second one.
 *
 * The writer learns a section's size after its data, but the size stands before it and is covered by the CRC. Joining
 * saves a second pass over the file. Appending a zero byte is a linear map on the 32 state bits; the map for
 * `secondLength` zero bytes comes from repeated squaring.
 */
function joinCrc32(first: number, second: number, secondLength: number): number {
  let map = zeroBitMap();
  for (let i = 0; i < 3; i += 1) map = square(map);
  let joined = first;
  for (let rest = BigInt(secondLength); rest > 0n; rest >>= 1n) {
    if (rest & 1n) joined = times(map, joined);
    map = square(map);
  }
  return (joined ^ second) >>> 0;
}

/** The map of one zero bit, for the reflected polynomial 0xEDB88320: column n is the image of bit n. */
function zeroBitMap(): Uint32Array {
  const map = new Uint32Array(32);
  map[0] = 0xedb88320;
  for (let bit = 1; bit < 32; bit += 1) map[bit] = 1 << (bit - 1);
  return map;
}

function times(map: Uint32Array, vector: number): number {
  let sum = 0;
  for (let bit = 0, rest = vector; rest !== 0; bit += 1, rest >>>= 1) {
    if (rest & 1) sum ^= map[bit] ?? 0;
  }
  return sum >>> 0;
}

function square(map: Uint32Array): Uint32Array {
  return map.map((column) => times(map, column));
}
