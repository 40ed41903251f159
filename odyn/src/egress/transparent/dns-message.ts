/** DNS messages (RFC 1035), as far as a resolver needs them that has all its answers itself. */
export const TYPE = { A: 1, PTR: 12, AAAA: 28, OPT: 41 } as const;
export const RCODE = { OK: 0, FORMAT: 1, NO_NAME: 3, NOT_IMPLEMENTED: 4, REFUSED: 5 } as const;
const CLASS_IN = 1;

const HEADER_BYTES = 12;
/** With the bytes of lengths and the closing zero. */
const NAME_BYTES = 255;
const LABEL_BYTES = 63;
/** What we say to take by UDP: a size that no path splits (RFC 9715). */
const UDP_BYTES = 1232;
/** Extended error "Blocked" (RFC 8914). */
const BLOCKED = 15;

export interface DnsQuery {
  readonly id: number;
  readonly recursionDesired: boolean;
  /** Labels as they were asked, bytes as latin1; empty for the root. */
  readonly labels: readonly string[];
  readonly type: number;
  /** Name, type and class as they came, for the answer. */
  readonly question: Buffer;
  readonly extended: boolean;
}

/** A message that is answered with a code alone. */
export interface DnsFault {
  readonly id: number;
  readonly rcode: number;
}

export interface DnsAnswer {
  readonly rcode: number;
  /** Of the type that was asked for. */
  readonly data?: Buffer;
  readonly ttlSeconds?: number;
  /** Why there is none, for those who can read it. */
  readonly reason?: string;
}

/** Reads a query. Undefined for what is none and gets no answer: too short, or an answer itself. */
export function readQuery(bytes: Buffer): DnsQuery | DnsFault | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const id = bytes.readUInt16BE(0);
  const flags = bytes.readUInt16BE(2);
  if ((flags & 0x8000) !== 0) return undefined;
  if ((flags & 0x7800) !== 0) return { id, rcode: RCODE.NOT_IMPLEMENTED };
  const [questions, answers, authorities, additional] = [4, 6, 8, 10].map((at) => bytes.readUInt16BE(at));
  const name = questions === 1 && answers === 0 && authorities === 0 ? readName(bytes, HEADER_BYTES) : undefined;
  if (name === undefined || name.end + 4 > bytes.length) return { id, rcode: RCODE.FORMAT };
  const end = name.end + 4;
  if (bytes.readUInt16BE(name.end + 2) !== CLASS_IN) return { id, rcode: RCODE.REFUSED };
  return {
    id,
    recursionDesired: (flags & 0x0100) !== 0,
    labels: name.labels,
    type: bytes.readUInt16BE(name.end),
    question: bytes.subarray(HEADER_BYTES, end),
    // OPT (RFC 6891) has the root's name, which is one zero
    extended:
      additional === 1 && bytes.length >= end + 11 && bytes[end] === 0 && bytes.readUInt16BE(end + 1) === TYPE.OPT,
  };
}

/** No pointers: a question has nothing before it that it could point to. */
function readName(bytes: Buffer, start: number): { labels: string[]; end: number } | undefined {
  const labels: string[] = [];
  for (let at = start; at < bytes.length && at - start < NAME_BYTES; ) {
    const length = bytes[at] ?? 0;
    at += 1;
    if (length === 0) return { labels, end: at };
    if (length > LABEL_BYTES || at + length > bytes.length) return undefined;
    labels.push(bytes.toString('latin1', at, at + length));
    at += length;
  }
  return undefined;
}

export function writeFault({ id, rcode }: DnsFault): Buffer {
  return header({ id, recursionDesired: false }, rcode, [0, 0, 0]);
}

export function writeAnswer(query: DnsQuery, { rcode, data, ttlSeconds = 0, reason }: DnsAnswer): Buffer {
  const parts = [header(query, rcode, [1, data === undefined ? 0 : 1, query.extended ? 1 : 0]), query.question];
  if (data !== undefined) {
    const record = Buffer.alloc(12);
    // The name is the one at the start of the question
    record.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
    record.writeUInt16BE(query.type, 2);
    record.writeUInt16BE(CLASS_IN, 4);
    record.writeUInt32BE(ttlSeconds, 6);
    record.writeUInt16BE(data.length, 10);
    parts.push(record, data);
  }
  if (query.extended) parts.push(extension(reason));
  return Buffer.concat(parts);
}

/** A name as data: each label behind its length, and a zero. */
export function nameData(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1'));
  return Buffer.concat([...labels, Buffer.of(0)]);
}

function header(
  { id, recursionDesired }: Pick<DnsQuery, 'id' | 'recursionDesired'>,
  rcode: number,
  [questions, answers, additional]: readonly [number, number, number],
): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt16BE(id, 0);
  // An answer, and recursion is to be had
  bytes.writeUInt16BE(0x8080 | (recursionDesired ? 0x0100 : 0) | rcode, 2);
  bytes.writeUInt16BE(questions, 4);
  bytes.writeUInt16BE(answers, 6);
  bytes.writeUInt16BE(additional, 10);
  return bytes;
}

function extension(reason: string | undefined): Buffer {
  const text = Buffer.from(reason ?? '');
  const bytes = Buffer.alloc(reason === undefined ? 11 : 17);
  bytes.writeUInt16BE(TYPE.OPT, 1);
  bytes.writeUInt16BE(UDP_BYTES, 3);
  if (reason === undefined) return bytes;
  bytes.writeUInt16BE(6 + text.length, 9);
  bytes.writeUInt16BE(15, 11);
  bytes.writeUInt16BE(2 + text.length, 13);
  bytes.writeUInt16BE(BLOCKED, 15);
  return Buffer.concat([bytes, text]);
}
