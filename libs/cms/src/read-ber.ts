import { malformed } from './errors.ts';
import { MAX_DEPTH, MAX_ENVELOPE_BYTES, MAX_LENGTH_BYTES } from './limits.ts';
import { CONSTRUCTED } from './tags.ts';

/** One element. A constructed one has `children`, a primitive one `content`. */
export interface BerElement {
  tag: number;
  content: Buffer;
  children: readonly BerElement[];
}

/** Where the elements around this one end at the latest, and how many there are. */
interface Place {
  end: number;
  depth: number;
}

const INDEFINITE = -1;

/**
 * Reads one element in BER (X.690) that fills the whole input: definite and indefinite lengths, long forms longer than need
 * be. Tags of more than one byte are refused, as an envelope has none. The contents are views into the input.
 *
 * Throws CMS_MALFORMED.
 */
export function readBer(bytes: Uint8Array): BerElement {
  if (bytes.length > MAX_ENVELOPE_BYTES) {
    throw malformed(`it has ${bytes.length} bytes; KMS sends at most ${MAX_ENVELOPE_BYTES}`);
  }
  const reader = new BerReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const element = reader.element({ end: bytes.length, depth: 1 });
  if (reader.at !== bytes.length) throw malformed(`${bytes.length - reader.at} bytes follow its end`);
  return element;
}

class BerReader {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  element({ end, depth }: Place): BerElement {
    if (depth > MAX_DEPTH) throw malformed(`more than ${MAX_DEPTH} elements within each other`);
    const start = this.at;
    const tag = this.#byte(end);
    if (tag === 0 || (tag & 0x1f) === 0x1f) throw malformed(`tag 0x${hex(tag)} at byte ${start}`);
    const isConstructed = (tag & CONSTRUCTED) !== 0;
    const length = this.#length(end);
    if (length === INDEFINITE) {
      if (!isConstructed) throw malformed(`an element of indefinite length without elements at byte ${start}`);
      return { tag, content: Buffer.alloc(0), children: this.#untilMarker({ end, depth: depth + 1 }) };
    }
    if (length > end - this.at) throw malformed(`the element at byte ${start} is longer than what is there`);
    const inner = this.at + length;
    if (isConstructed)
      return { tag, content: Buffer.alloc(0), children: this.#until({ end: inner, depth: depth + 1 }) };
    const content = this.#bytes.subarray(this.at, inner);
    this.at = inner;
    return { tag, content, children: [] };
  }

  #until(place: Place): BerElement[] {
    const children: BerElement[] = [];
    while (this.at < place.end) children.push(this.element(place));
    return children;
  }

  #untilMarker(place: Place): BerElement[] {
    const children: BerElement[] = [];
    for (;;) {
      if (this.at + 2 > place.end) throw malformed('an end-of-contents marker is missing');
      if (this.#bytes.readUInt16BE(this.at) === 0) break;
      children.push(this.element(place));
    }
    this.at += 2;
    return children;
  }

  #length(end: number): number {
    const first = this.#byte(end);
    if (first < 0x80) return first;
    if (first === 0x80) return INDEFINITE;
    const count = first & 0x7f;
    if (count > MAX_LENGTH_BYTES) throw malformed(`a length of ${count} bytes; allowed are ${MAX_LENGTH_BYTES}`);
    let length = 0;
    for (let index = 0; index < count; index += 1) length = length * 256 + this.#byte(end);
    return length;
  }

  #byte(end: number): number {
    const byte = this.at < end ? this.#bytes[this.at] : undefined;
    if (byte === undefined) throw malformed(`it ends in the middle, at byte ${this.at}`);
    this.at += 1;
    return byte;
  }
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
