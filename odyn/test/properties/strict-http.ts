/**
 * HTTP/1.1 messages by the letter of RFC 9112, and not a shade more: what another reader might take in two ways is the end.
 * Written for the tests of the egress proxy, as the second opinion on where a message ends.
 */
export interface Message {
  /** Request line or status line, split at its blanks: three parts, the last one may be empty or have more blanks. */
  readonly start: readonly [string, string, string];
  /** Names in small letters, values without blanks around them; in the order of the message. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** `bad` where the bytes break a rule, `cut` where they end within a message. */
export interface Reading {
  readonly messages: readonly Message[];
  readonly end: 'whole' | 'cut' | 'bad';
}

class Bad extends Error {}
class Cut extends Error {}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** More blanks between the words than one are allowed (RFC 9112, section 3). */
const REQUEST = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([\x21-\x7e]+) +(HTTP\/1\.[01])$/;
/** Many servers leave the blank out with the reason; nothing else can be read out of that. */
const STATUS = /^(HTTP\/1\.[01]) (\d{3})(?: ([\t\x20-\x7e\x80-\xff]*))?$/;

/** All requests of one connection, from bytes as latin1. */
export function readRequests(text: string): Reading {
  return read(text, (reader) => reader.request());
}

/** All answers of one connection, to requests of these methods. */
export function readAnswers(text: string, methods: readonly string[]): Reading {
  let index = 0;
  return read(text, (reader) => {
    const answer = reader.answer(methods[index] ?? 'GET');
    if (!answer.start[1].startsWith('1')) index += 1;
    return answer;
  });
}

/** The values of a header, as sent. */
export function valuesOf({ headers }: Pick<Message, 'headers'>, wanted: string): string[] {
  return headers.filter(([name]) => name === wanted).map(([, value]) => value);
}

/** Whether the connection ends with this message. */
export function isLast(message: Message): boolean {
  const tokens = valuesOf(message, 'connection').flatMap((value) => value.toLowerCase().split(/[\t ]*,[\t ]*/));
  const version = message.start[0].startsWith('HTTP/') ? message.start[0] : message.start[2];
  return tokens.includes('close') || (version === 'HTTP/1.0' && !tokens.includes('keep-alive'));
}

function read(text: string, one: (reader: Reader) => Message): Reading {
  const reader = new Reader(text);
  const messages: Message[] = [];
  try {
    while (!reader.atEnd() && !messages.some(isLast)) messages.push(one(reader));
    return { messages, end: reader.atEnd() ? 'whole' : 'bad' };
  } catch (error) {
    if (error instanceof Cut) return { messages, end: 'cut' };
    if (error instanceof Bad) return { messages, end: 'bad' };
    throw error;
  }
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  request(): Message {
    this.#emptyLines();
    const [, method = '', target = '', version = ''] = match(REQUEST, this.#line());
    const headers = this.#headers();
    const length = lengthOf(headers);
    if (length === 'chunked' && version === 'HTTP/1.0') throw new Bad();
    return { start: [method, target, version], headers, body: this.#body(length ?? 0) };
  }

  answer(method: string): Message {
    this.#emptyLines();
    const [, version = '', status = '', reason = ''] = match(STATUS, this.#line());
    const headers = this.#headers();
    const isBodiless = method === 'HEAD' || /^(1..|204|304)$/.test(status);
    const length = isBodiless ? 0 : (lengthOf(headers) ?? 'all');
    return { start: [version, status, reason], headers, body: this.#body(length) };
  }

  /** To be passed over before a request (RFC 9112, section 2.2). Ended by CR or LF alone they are still nothing. */
  #emptyLines(): void {
    while (/[\r\n]/.test(this.#text.charAt(this.#at))) this.#at += 1;
  }

  #body(length: number | 'chunked' | 'all'): string {
    if (length === 'all') return this.#take(this.#text.length - this.#at);
    if (length !== 'chunked') return this.#take(length);
    let body = '';
    for (;;) {
      const [, size = ''] = match(/^0*([0-9A-Fa-f]{1,8})(?:[\t ]*;[\t\x20-\x7e\x80-\xff]*)?$/, this.#line());
      const count = Number.parseInt(size, 16);
      if (count === 0) break;
      body += this.#take(count);
      if (this.#line() !== '') throw new Bad();
    }
    this.#headers();
    return body;
  }

  #headers(): Message['headers'] {
    const headers: [string, string][] = [];
    for (let line = this.#line(); line !== ''; line = this.#line()) {
      const colon = line.indexOf(':');
      const [name, value] = [line.slice(0, colon), line.slice(colon + 1)];
      if (colon < 1 || !TOKEN.test(name) || !VALUE.test(value)) throw new Bad();
      headers.push([name.toLowerCase(), value.replace(/^[\t ]+|[\t ]+$/g, '')]);
    }
    return headers;
  }

  #line(): string {
    const end = this.#text.indexOf('\r\n', this.#at);
    const line = this.#text.slice(this.#at, end < 0 ? undefined : end);
    if (/[\r\n\0]/.test(end < 0 ? line.slice(0, -1) : line)) throw new Bad();
    if (end < 0) throw new Cut();
    this.#at = end + 2;
    return line;
  }

  #take(count: number): string {
    if (count > this.#text.length - this.#at) throw new Cut();
    this.#at += count;
    return this.#text.slice(this.#at - count, this.#at);
  }
}

function match(expression: RegExp, line: string): RegExpExecArray {
  const found = expression.exec(line);
  if (found === null) throw new Bad();
  return found;
}

/** One length, or chunks and nothing else; undefined where nothing is said. */
function lengthOf(headers: Message['headers']): number | 'chunked' | undefined {
  const lengths = valuesOf({ headers }, 'content-length');
  const codings = valuesOf({ headers }, 'transfer-encoding');
  if (lengths.length + codings.length === 0) return undefined;
  if (lengths.length + codings.length > 1) throw new Bad();
  if (codings.length === 1) {
    if (codings[0]?.toLowerCase() !== 'chunked') throw new Bad();
    return 'chunked';
  }
  const length = Number(lengths[0]);
  if (!/^\d+$/.test(lengths[0] ?? '') || length > Number.MAX_SAFE_INTEGER) throw new Bad();
  return length;
}
