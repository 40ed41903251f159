import { LOG_PAYLOAD_MAX } from '@enclaver/wire';
import { type LogRing, nowUs, type SourceStream } from './log-ring.ts';

const NEWLINE = 0x0a;

/**
 * Cuts one stream of bytes into records: one per line, without its LF; of a line of over LOG_PAYLOAD_MAX bytes several,
 * all but the last flagged as going on. Bytes are not looked at otherwise. An unfinished line waits for its end.
 */
export class LineCutter {
  readonly #ring: LogRing;
  readonly #stream: SourceStream;
  readonly #held = Buffer.allocUnsafeSlow(LOG_PAYLOAD_MAX);
  #heldBytes = 0;

  constructor(ring: LogRing, stream: SourceStream) {
    this.#ring = ring;
    this.#stream = stream;
  }

  /** `bytes` may be reused by the caller afterwards. */
  push(bytes: Buffer): void {
    const timeUs = nowUs();
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      this.#line(bytes, start, end, timeUs);
      start = end + 1;
    }
    this.#hold(bytes, start, timeUs);
    this.#ring.announce();
  }

  /** The stream has ended: an unfinished line is one now. */
  end(): void {
    if (this.#heldBytes === 0) return;
    this.#ring.append(this.#stream, this.#held, 0, this.#heldBytes, false, nowUs());
    this.#heldBytes = 0;
    this.#ring.announce();
  }

  #line(bytes: Buffer, start: number, end: number, timeUs: number): void {
    if (this.#heldBytes === 0 && end - start <= LOG_PAYLOAD_MAX) {
      this.#ring.append(this.#stream, bytes, start, end, false, timeUs);
      return;
    }
    this.#hold(bytes, start, timeUs, end);
    this.#ring.append(this.#stream, this.#held, 0, this.#heldBytes, false, timeUs);
    this.#heldBytes = 0;
  }

  #hold(bytes: Buffer, start: number, timeUs: number, end = bytes.length): void {
    let from = start;
    while (from < end) {
      if (this.#heldBytes === LOG_PAYLOAD_MAX) {
        this.#ring.append(this.#stream, this.#held, 0, LOG_PAYLOAD_MAX, true, timeUs);
        this.#heldBytes = 0;
      }
      const copied = bytes.copy(this.#held, this.#heldBytes, from, end);
      this.#heldBytes += copied;
      from += copied;
    }
  }
}
