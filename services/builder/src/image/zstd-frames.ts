import { BuilderError } from '../builder-error.ts';

/** Numbers of the format: RFC 8878, section 3.1. */
const FRAME_MAGIC = 0xfd2fb528;
/** The last four bits are free. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const MAGIC_BYTES = 4;
const SIZE_BYTES = 4;
const BLOCK_HEADER_BYTES = 3;
const CHECKSUM_BYTES = 4;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const RLE = 1;

export function isSkippable(first: Buffer): boolean {
  return first.length >= MAGIC_BYTES && (first.readUInt32LE() & ~0xf) >>> 0 === SKIPPABLE_MAGIC;
}

/**
 * A zstd stream in pieces of which none goes on behind the end of a frame: Node's decompressor takes what follows a frame in
 * the same piece for the end of everything, while layers of several frames are usual (zstd:chunked, pzstd). Throws
 * IMAGE_INVALID for bytes that begin no frame, IMAGE_TRUNCATED for a frame without its end.
 */
export async function* zstdFrames(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const walker = new FrameWalker();
  for await (const chunk of source) {
    for (let from = 0; from < chunk.length; ) {
      const to = walker.advance(chunk, from);
      yield chunk.subarray(from, to);
      from = to;
    }
  }
  if (!walker.atFrameEnd) {
    throw new BuilderError('IMAGE_TRUNCATED', "a layer's zstd stream ends early", {
      remedy: 'export or fetch the image again',
    });
  }
}

type Part = 'magic' | 'skippable-size' | 'descriptor' | 'block';

/** Steps over frames by their headers. */
class FrameWalker {
  /** The header that is read, after `#pass` bytes that are not looked at. */
  #part: Part = 'magic';
  readonly #header = Buffer.alloc(MAGIC_BYTES);
  #have = 0;
  #pass = 0;
  #hasChecksum = false;

  get atFrameEnd(): boolean {
    return this.#part === 'magic' && this.#have === 0 && this.#pass === 0;
  }

  /** Where the piece that begins at `from` has to end: behind the frame, or with the chunk. */
  advance(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length) {
      if (this.#pass > 0) {
        const step = Math.min(this.#pass, chunk.length - at);
        this.#pass -= step;
        at += step;
      } else {
        this.#header[this.#have] = chunk[at] ?? 0;
        this.#have += 1;
        at += 1;
        if (this.#have === HEADER_BYTES[this.#part]) this.#decode();
      }
      if (this.atFrameEnd) return at;
    }
    return at;
  }

  #decode(): void {
    this.#have = 0;
    switch (this.#part) {
      case 'magic':
        if (this.#header.readUInt32LE() === FRAME_MAGIC) this.#part = 'descriptor';
        else if (isSkippable(this.#header)) this.#part = 'skippable-size';
        else throw noFrame();
        return;
      case 'skippable-size':
        this.#next('magic', this.#header.readUInt32LE());
        return;
      case 'descriptor': {
        const flags = this.#header[0] ?? 0;
        const isSingle = (flags & 0x20) !== 0;
        const size = CONTENT_SIZE_BYTES[(flags >> 6) as 0 | 1 | 2 | 3] || (isSingle ? 1 : 0);
        this.#hasChecksum = (flags & 0x04) !== 0;
        this.#next('block', (isSingle ? 0 : 1) + DICTIONARY_ID_BYTES[(flags & 3) as 0 | 1 | 2 | 3] + size);
        return;
      }
      case 'block': {
        const header = this.#header.readUIntLE(0, BLOCK_HEADER_BYTES);
        const size = ((header >> 1) & 3) === RLE ? 1 : header >> 3;
        if ((header & 1) === 1) this.#next('magic', size + (this.#hasChecksum ? CHECKSUM_BYTES : 0));
        else this.#next('block', size);
      }
    }
  }

  #next(part: Part, pass: number): void {
    this.#part = part;
    this.#pass = pass;
  }
}

const HEADER_BYTES: Readonly<Record<Part, number>> = {
  magic: MAGIC_BYTES,
  'skippable-size': SIZE_BYTES,
  descriptor: 1,
  block: BLOCK_HEADER_BYTES,
};

function noFrame(): BuilderError {
  return new BuilderError('IMAGE_INVALID', "a layer's zstd stream has bytes that begin no frame", {
    remedy: 'export or fetch the image again',
  });
}
