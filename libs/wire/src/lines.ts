import { WireError } from './wire-error.ts';

const NEWLINE = 0x0a;

/**
 * Cuts a byte stream into lines ended by LF, holding at most `maxBytes` of an unfinished one.
 * Throws `LINE_TOO_LONG` instead of growing: the peer is not trusted to ever send the LF.
 */
export class LineSplitter {
  readonly #maxBytes: number;
  #pending: Buffer[] = [];
  #pendingBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Returns the lines that `chunk` completes, without their LF. */
  push(chunk: Buffer): Buffer[] {
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      lines.push(this.#take(chunk.subarray(start, end)));
      start = end + 1;
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start));
    return lines;
  }

  #take(tail: Buffer): Buffer {
    this.#hold(tail);
    const line = this.#pending.length === 1 ? tail : Buffer.concat(this.#pending, this.#pendingBytes);
    this.#pending = [];
    this.#pendingBytes = 0;
    return line;
  }

  #hold(part: Buffer): void {
    this.#pendingBytes += part.length;
    if (this.#pendingBytes > this.#maxBytes) {
      throw new WireError('LINE_TOO_LONG', `line of more than ${this.#maxBytes} bytes`);
    }
    this.#pending.push(part);
  }
}
