import type { FileHandle } from 'node:fs/promises';

/** Bytes read forward by count. */
export interface ByteInput {
  /** Bytes read or skipped so far. */
  readonly position: number;
  /** The next `length` bytes; fewer only where the input ends. Valid until the next call. */
  take(length: number): Promise<Buffer>;
  /** Skips `length` bytes; false when the input ends before. */
  skip(length: number): Promise<boolean>;
}

export class StreamInput implements ByteInput {
  position = 0;
  readonly #chunks: AsyncIterator<Buffer>;
  #chunk: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  async take(length: number): Promise<Buffer> {
    if (this.#chunk.length >= length) return this.#advance(length);
    const parts: Buffer[] = [];
    let missing = length;
    while (missing > 0 && (await this.#fill())) {
      const part = this.#advance(Math.min(missing, this.#chunk.length));
      // The source may use its block again for the next chunk
      parts.push(Buffer.from(part));
      missing -= part.length;
    }
    return Buffer.concat(parts);
  }

  /** Some bytes, at most `max`; none at the end of the input. */
  async some(max: number): Promise<Buffer> {
    await this.#fill();
    return this.#advance(Math.min(max, this.#chunk.length));
  }

  async skip(length: number): Promise<boolean> {
    let missing = length;
    while (missing > 0 && (await this.#fill())) {
      missing -= this.#advance(Math.min(missing, this.#chunk.length)).length;
    }
    return missing === 0;
  }

  /** Reads to the end, so that whoever checks the bytes on their way sees all of them. */
  async drain(): Promise<void> {
    while (await this.#fill()) this.#advance(this.#chunk.length);
  }

  /** Tells the source that nothing more will be read. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  #advance(length: number): Buffer {
    const part = this.#chunk.subarray(0, length);
    this.#chunk = this.#chunk.subarray(length);
    this.position += length;
    return part;
  }

  async #fill(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return false;
      this.#chunk = next.value;
    }
    return true;
  }
}

export class FileInput implements ByteInput {
  position = 0;
  readonly #file: FileHandle;
  readonly #size: number;

  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.#size = size;
  }

  async take(length: number): Promise<Buffer> {
    const buffer = Buffer.alloc(Math.min(length, Math.max(0, this.#size - this.position)));
    let read = 0;
    while (read < buffer.length) {
      const { bytesRead } = await this.#file.read(buffer, read, buffer.length - read, this.position + read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    this.position += read;
    return buffer.subarray(0, read);
  }

  async skip(length: number): Promise<boolean> {
    this.position += length;
    return this.position <= this.#size;
  }
}
