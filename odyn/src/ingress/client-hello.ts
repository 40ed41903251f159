/** What a client says first (RFC 8446, section 4.1.2), as far as it is needed to tell a validator from others. */
export interface ClientHello {
  /** Of server_name: RFC 6066, section 3. */
  readonly name?: string;
  /** Of ALPN, in the client's order: RFC 7301, section 3.1. */
  readonly protocols: readonly string[];
}

const RECORD_HEADER = 5;
const MESSAGE_HEADER = 4;
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const HOST_NAME = 0;
const ALPN = 16;

/** More than any client sends; OpenSSL's own bound on the message is 128 KiB. */
const MAX_HELLO = 16_384;

/** `other` is what is no whole hello in this form, and never will be: it is for OpenSSL to refuse. */
export type ReadHello = ClientHello | 'incomplete' | 'other';

/**
 * Reads the first message of a TLS client out of its bytes as they come. The message may lie in several records; however small
 * those are, each byte is looked at once.
 */
export class HelloReader {
  /** Of the header of a record, as long as it is not whole. */
  #head: Buffer = Buffer.alloc(0);
  /** Where the next record begins. */
  #next = 0;
  /** Bytes of this record that are still to come. */
  #left = 0;
  readonly #message = Buffer.allocUnsafe(MAX_HELLO);
  #length = 0;

  /** `bytes` are those behind the last ones. Not to be called once something else than `incomplete` came. */
  push(bytes: Buffer): ReadHello {
    let rest = Buffer.concat([this.#head, bytes]);
    this.#head = Buffer.alloc(0);
    while (rest.length > 0) {
      if (this.#left === 0) {
        if (rest[0] !== HANDSHAKE) return 'other';
        if (rest.length < RECORD_HEADER) {
          this.#head = rest;
          break;
        }
        this.#left = rest.readUInt16BE(3);
        if (this.#left === 0 || this.#next + this.#left > MAX_HELLO) return 'other';
        this.#next += RECORD_HEADER + this.#left;
        rest = rest.subarray(RECORD_HEADER);
      }
      const copied = rest.copy(this.#message, this.#length, 0, this.#left);
      this.#length += copied;
      this.#left -= copied;
      rest = rest.subarray(copied);
      const read = this.#readMessage();
      if (read !== 'incomplete') return read;
    }
    return 'incomplete';
  }

  #readMessage(): ReadHello {
    if (this.#length > 0 && this.#message[0] !== CLIENT_HELLO) return 'other';
    if (this.#length < MESSAGE_HEADER) return 'incomplete';
    const end = MESSAGE_HEADER + this.#message.readUIntBE(1, 3);
    if (end > MAX_HELLO) return 'other';
    return this.#length < end ? 'incomplete' : readBody(this.#message.subarray(MESSAGE_HEADER, end));
  }
}

function readBody(message: Buffer): ClientHello | 'other' {
  const body = new Reader(message);
  try {
    body.skip(2 + 32); // version, random
    body.vector(1); // session id
    body.vector(2); // cipher suites
    body.vector(1); // compression methods
    const hello: { name?: string; protocols: string[] } = { protocols: [] };
    const extensions = new Reader(body.vector(2));
    while (extensions.left > 0) {
      const type = extensions.number(2);
      const data = new Reader(extensions.vector(2));
      if (type === SERVER_NAME) {
        const names = new Reader(data.vector(2));
        if (names.number(1) === HOST_NAME) hello.name = names.vector(2).toString('latin1');
      } else if (type === ALPN) {
        const list = new Reader(data.vector(2));
        while (list.left > 0) hello.protocols.push(list.vector(1).toString('latin1'));
      }
    }
    return hello;
  } catch (error) {
    if (error instanceof RangeError) return 'other';
    throw error;
  }
}

/** Takes numbers and length-prefixed vectors off the front. Throws RangeError at the end. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  number(size: number): number {
    const value = this.#bytes.readUIntBE(this.#at, size);
    this.#at += size;
    return value;
  }

  vector(lengthSize: number): Buffer {
    const length = this.number(lengthSize);
    const start = this.#at;
    this.skip(length);
    return this.#bytes.subarray(start, start + length);
  }

  skip(count: number): void {
    if (count > this.left) throw new RangeError('the message is shorter than it says');
    this.#at += count;
  }
}
