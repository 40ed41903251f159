/** What can be encoded. A Map keeps its order. Numbers are integers from 0 up, or small negative ones as in COSE headers. */
export type Encodable =
  | number
  | string
  | boolean
  | null
  | Uint8Array
  | readonly Encodable[]
  | ReadonlyMap<number | string, Encodable>;

const MAJOR = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5 } as const;
const SIMPLE = { false: 0xf4, true: 0xf5, null: 0xf6 } as const;

/** CBOR in definite lengths with the shortest heads (RFC 8949, section 4.2.1), as the NSM's libraries write it. */
export function encodeCbor(value: Encodable): Buffer {
  if (value === null) return Buffer.of(SIMPLE.null);
  if (typeof value === 'boolean') return Buffer.of(value ? SIMPLE.true : SIMPLE.false);
  if (typeof value === 'number') return value < 0 ? head(MAJOR.negative, -1 - value) : head(MAJOR.unsigned, value);
  if (typeof value === 'string') {
    const text = Buffer.from(value);
    return Buffer.concat([head(MAJOR.text, text.length), text]);
  }
  if (value instanceof Uint8Array) return Buffer.concat([head(MAJOR.bytes, value.length), value]);
  if (isList(value)) return Buffer.concat([head(MAJOR.array, value.length), ...value.map(encodeCbor)]);
  return Buffer.concat([head(MAJOR.map, value.size), ...[...value].flat().map(encodeCbor)]);
}

/** `Array.isArray` does not tell a readonly list from a Map for the type checker. */
function isList(value: readonly Encodable[] | ReadonlyMap<number | string, Encodable>): value is readonly Encodable[] {
  return Array.isArray(value);
}

function head(major: number, value: number): Buffer {
  const type = major << 5;
  if (value < 24) return Buffer.of(type | value);
  if (value <= 0xff) return Buffer.of(type | 24, value);
  const bytes = value <= 0xffff ? 2 : value <= 0xffffffff ? 4 : 8;
  const buffer = Buffer.alloc(1 + bytes);
  buffer[0] = type | (bytes === 2 ? 25 : bytes === 4 ? 26 : 27);
  if (bytes === 8) buffer.writeBigUInt64BE(BigInt(value), 1);
  else buffer.writeUIntBE(value, 1, bytes);
  return buffer;
}
