import * as z from 'zod';
import { WireError } from './wire-error.ts';

/** A kind of frame: a little-endian length and that many bytes of JSON. */
export interface FrameFormat {
  /** For error texts, such as `egress message`. */
  readonly what: string;
  readonly lengthBytes: 2 | 4;
  /** Longest JSON in bytes: bounds what is buffered. */
  readonly maxBytes: number;
}

/** Throws `FRAME_TOO_LARGE`. */
export function encodeFrame(format: FrameFormat, message: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(message));
  if (json.length > format.maxBytes) {
    throw new WireError('FRAME_TOO_LARGE', `${format.what} of ${json.length} bytes, at most ${format.maxBytes}`);
  }
  const header = Buffer.alloc(format.lengthBytes);
  header.writeUIntLE(json.length, 0, format.lengthBytes);
  return Buffer.concat([header, json]);
}

/**
 * Reads exactly one message of kind `T`. `push` returns it with the bytes that followed it, or undefined while it is
 * incomplete; throws `WireError` when the peer breaks the format.
 */
export class FrameDecoder<T> {
  readonly #format: FrameFormat;
  readonly #schema: z.ZodType<T>;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #length: number | undefined;

  constructor(format: FrameFormat, schema: z.ZodType<T>) {
    this.#format = format;
    this.#schema = schema;
  }

  push(chunk: Buffer): { message: T; rest: Buffer } | undefined {
    const { lengthBytes } = this.#format;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < lengthBytes) return undefined;
    this.#length ??= this.#readLength();
    // Joined once, when it is whole: a peer that sends single bytes must not cost a copy of all for each
    const end = lengthBytes + this.#length;
    if (this.#bytes < end) return undefined;
    const whole = Buffer.concat(this.#chunks);
    return { message: this.#parse(whole.subarray(lengthBytes, end)), rest: whole.subarray(end) };
  }

  #readLength(): number {
    const { what, lengthBytes, maxBytes } = this.#format;
    const length = Buffer.concat(this.#chunks).readUIntLE(0, lengthBytes);
    if (length === 0 || length > maxBytes) {
      throw new WireError('FRAME_TOO_LARGE', `${what} of ${length} bytes, 1 to ${maxBytes} allowed`);
    }
    return length;
  }

  #parse(json: Buffer): T {
    const { what } = this.#format;
    let value: unknown;
    try {
      value = JSON.parse(json.toString('utf8'));
    } catch (cause) {
      throw new WireError('FRAME_INVALID', `${what} is not JSON`, { cause });
    }
    const result = this.#schema.safeParse(value);
    if (!result.success) {
      throw new WireError('FRAME_INVALID', `${what} is not one we know: ${z.prettifyError(result.error)}`);
    }
    return result.data;
  }
}
