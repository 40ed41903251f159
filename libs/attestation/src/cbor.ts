import { concatBytes } from './bytes.ts';
import { AttestationError } from './errors.ts';
import { MAX_CBOR_DEPTH } from './limits.ts';

/** A key of a map: integers beyond 2^53 are bigint. */
export type CborKey = number | bigint | string;

/** What CBOR says. Byte strings are views of the input, unless they were sent in chunks. */
export type CborValue =
  | CborKey
  | Uint8Array
  | boolean
  | null
  | CborValue[]
  | Map<CborKey, CborValue>
  | CborTag
  | CborSimple;

export class CborTag {
  readonly tag: number | bigint;
  readonly value: CborValue;

  constructor(tag: number | bigint, value: CborValue) {
    this.tag = tag;
    this.value = value;
  }
}

/** A float or another simple value: nobody needs one, they are only read over. */
export class CborSimple {
  readonly kind = 'simple';
}

const INDEFINITE = 31;
const BREAK = 0xff;
/** Major types (RFC 8949, section 3.1). */
const UINT = 0;
const NEGATIVE = 1;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;
const MAP = 5;
const TAG = 6;

/**
 * The one CBOR item (RFC 8949) that `bytes` is, in whole. Definite and indefinite lengths. Refused besides what is not
 * well-formed: a key twice in a map, a key that is neither integer nor text, text that is not UTF-8, more levels than
 * MAX_CBOR_DEPTH. A length is held against what is left of the input before anything is made of it, so memory and time are
 * in proportion to the input. Throws ATTESTATION_CBOR.
 */
export function decodeCbor(bytes: Uint8Array): CborValue {
  const reader = new Reader(bytes);
  const value = reader.item(0);
  if (reader.at !== bytes.length) {
    throw malformed(`${bytes.length - reader.at} bytes follow the item, which ends at byte ${reader.at}`);
  }
  return value;
}

class Reader {
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  item(depth: number): CborValue {
    if (depth >= MAX_CBOR_DEPTH) throw malformed(`more than ${MAX_CBOR_DEPTH} levels at byte ${this.at}`);
    const start = this.at;
    const { major, info, argument } = this.#head();
    switch (major) {
      case UINT:
        return argument;
      case NEGATIVE:
        return typeof argument === 'number' && argument < Number.MAX_SAFE_INTEGER
          ? -1 - argument
          : -1n - BigInt(argument);
      case BYTES:
        return info === INDEFINITE ? this.#chunks(BYTES) : this.#take(argument);
      case TEXT:
        return this.#text(info === INDEFINITE ? this.#chunks(TEXT) : this.#take(argument), start);
      case ARRAY:
        return this.#array(info === INDEFINITE ? undefined : this.#count(argument, 1), depth);
      case MAP:
        return this.#map(info === INDEFINITE ? undefined : this.#count(argument, 2), depth);
      case TAG:
        return new CborTag(argument, this.item(depth + 1));
      default:
        return simple(info);
    }
  }

  #head(): { major: number; info: number; argument: number | bigint } {
    const start = this.at;
    const [first = 0] = this.#take(1);
    const major = first >> 5;
    const info = first & 0x1f;
    if (info < 24) return { major, info, argument: info };
    if (info === INDEFINITE) {
      if (major >= BYTES && major <= MAP) return { major, info, argument: 0 };
      throw malformed(`a head 0x${first.toString(16)} at byte ${start}, where an item must begin`);
    }
    if (info > 27) throw malformed(`a head 0x${first.toString(16)} at byte ${start}, which is not assigned`);
    const size = 2 ** (info - 24);
    const at = this.at;
    this.#take(size);
    if (size === 8) {
      const long = this.#view.getBigUint64(at);
      return { major, info, argument: long <= Number.MAX_SAFE_INTEGER ? Number(long) : long };
    }
    const argument =
      size === 1 ? this.#view.getUint8(at) : size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
    // RFC 8949, section 3.3: a simple value below 32 has no second form
    if (major > TAG && size === 1 && argument < 32)
      throw malformed(`a simple value ${argument} in two bytes at byte ${start}`);
    return { major, info, argument };
  }

  #take(length: number | bigint): Uint8Array {
    const left = this.#bytes.length - this.at;
    if (length > left) throw malformed(`${length} bytes are announced at byte ${this.at}, where ${left} are left`);
    const end = this.at + Number(length);
    const taken = this.#bytes.subarray(this.at, end);
    this.at = end;
    return taken;
  }

  /** How many elements follow; each has at least `size` bytes. */
  #count(argument: number | bigint, size: number): number {
    const left = this.#bytes.length - this.at;
    const count = Number(argument);
    if (count * size > left)
      throw malformed(`${argument} elements are announced at byte ${this.at}, where ${left} bytes are left`);
    return count;
  }

  #atBreak(): boolean {
    if (this.#bytes[this.at] !== BREAK) return false;
    this.at += 1;
    return true;
  }

  #chunks(expected: number): Uint8Array {
    const chunks: Uint8Array[] = [];
    while (!this.#atBreak()) {
      const start = this.at;
      const { major, info, argument } = this.#head();
      if (major !== expected || info === INDEFINITE) throw malformed(`no chunk of the string at byte ${start}`);
      chunks.push(this.#take(argument));
    }
    return concatBytes(...chunks);
  }

  #text(bytes: Uint8Array, start: number): string {
    try {
      return this.#utf8.decode(bytes);
    } catch (cause) {
      throw malformed(`text that is not UTF-8 at byte ${start}`, cause);
    }
  }

  #array(count: number | undefined, depth: number): CborValue[] {
    const values: CborValue[] = [];
    while (count === undefined ? !this.#atBreak() : values.length < count) values.push(this.item(depth + 1));
    return values;
  }

  #map(count: number | undefined, depth: number): Map<CborKey, CborValue> {
    const map = new Map<CborKey, CborValue>();
    while (count === undefined ? !this.#atBreak() : map.size < count) {
      const start = this.at;
      const key = this.item(depth + 1);
      if (typeof key !== 'number' && typeof key !== 'bigint' && typeof key !== 'string') {
        throw malformed(`a key that is neither integer nor text at byte ${start}`);
      }
      if (map.has(key)) throw malformed(`a key that its map has already at byte ${start}`);
      map.set(key, this.item(depth + 1));
    }
    return map;
  }
}

/** RFC 8949, section 3.3. */
function simple(info: number): boolean | null | CborSimple {
  if (info === 22) return null;
  return info === 20 || info === 21 ? info === 21 : new CborSimple();
}

function malformed(found: string, cause?: unknown): AttestationError {
  return new AttestationError('ATTESTATION_CBOR', `the document is not the CBOR that it must be: ${found}`, cause);
}
