/** What a client says first (RFC 8446, section 4.1.2), as far as it is needed to tell a validator from others. */
export interface ClientHello {
  /** Of server_name: RFC 6066, section 3. */
  readonly name?: string;
  /** Of ALPN, in the client's order: RFC 7301, section 3.1. */
  readonly protocols: readonly string[];
}

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const HOST_NAME = 0;
const ALPN = 16;

/** More than any client sends; OpenSSL's own bound on the message is 128 KiB. */
const MAX_HELLO = 16_384;

/**
 * Reads the first message of a TLS client out of the bytes it has sent so far. `other` is what is no whole hello in this form,
 * and never will be: it is for OpenSSL to refuse.
 */
export function readClientHello(bytes: Buffer): ClientHello | 'incomplete' | 'other' {
  const message = joinRecords(bytes);
  if (typeof message === 'string') return message;
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

/** The message without its header; it may lie in several records. */
function joinRecords(bytes: Buffer): Buffer | 'incomplete' | 'other' {
  let message = Buffer.alloc(0);
  for (let at = 0; ; ) {
    if (bytes.length > at && bytes[at] !== HANDSHAKE) return 'other';
    if (bytes.length < at + 5) return 'incomplete';
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0 || at + length > MAX_HELLO) return 'other';
    message = Buffer.concat([message, bytes.subarray(at + 5, at + 5 + length)]);
    if (message.length > 0 && message[0] !== CLIENT_HELLO) return 'other';
    const whole = message.length < 4 ? undefined : 4 + message.readUIntBE(1, 3);
    if (whole !== undefined && whole > MAX_HELLO) return 'other';
    if (whole !== undefined && message.length >= whole) return message.subarray(4, whole);
    if (bytes.length < at + 5 + length) return 'incomplete';
    at += 5 + length;
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
