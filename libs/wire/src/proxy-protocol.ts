import { WireError } from './wire-error.ts';

/**
 * PROXY protocol, version 2 (proxy-protocol.txt of HAProxy, section 2.2): the first bytes of a connection say whose it
 * is. The outer-proxy sends one on ports whose manifest asks for it, and odyn one to an app that reads them. Types
 * behind the addresses (TLVs) are skipped when read and never written.
 *
 * What comes from the parent is its word and no more: it can name any peer it likes.
 */
export type ProxyHeader =
  | { readonly command: 'local' }
  | {
      readonly command: 'proxy';
      readonly family: 4 | 6;
      readonly source: ProxyEnd;
      readonly destination: ProxyEnd;
    };

export interface ProxyEnd {
  /** 4 or 16 bytes in network order, as `family` of the header says. */
  readonly address: Uint8Array;
  readonly port: number;
}

/** Longest header that is read: both addresses with some 480 bytes of types to be skipped; it fits any TCP segment. */
export const PROXY_HEADER_MAX = 536;

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const FIXED = 16;
const VERSION = 0x20;
const LOCAL = 0;
const PROXY = 1;
const UNSPECIFIED = 0x00;
const TCP4 = 0x11;
const TCP6 = 0x21;

export function encodeProxyHeader(header: ProxyHeader): Buffer {
  if (header.command === 'local') return Buffer.from([...SIGNATURE, VERSION | LOCAL, UNSPECIFIED, 0, 0]);
  const { family, source, destination } = header;
  const size = family === 4 ? 4 : 16;
  const bytes = Buffer.alloc(FIXED + 2 * size + 4);
  bytes.set(SIGNATURE);
  bytes[12] = VERSION | PROXY;
  bytes[13] = family === 4 ? TCP4 : TCP6;
  bytes.writeUInt16BE(2 * size + 4, 14);
  bytes.set(source.address, FIXED);
  bytes.set(destination.address, FIXED + size);
  bytes.writeUInt16BE(source.port, FIXED + 2 * size);
  bytes.writeUInt16BE(destination.port, FIXED + 2 * size + 2);
  return bytes;
}

/**
 * The header that `bytes` begin with, and how many of them it takes; undefined while it is not whole. Wrong bytes are
 * told as soon as they are there.
 * @throws WireError FRAME_INVALID, FRAME_TOO_LARGE
 */
export function decodeProxyHeader(bytes: Buffer): { header: ProxyHeader; length: number } | undefined {
  const signed = Math.min(bytes.length, SIGNATURE.length);
  if (bytes.compare(SIGNATURE, 0, signed, 0, signed) !== 0) throw invalid('it does not begin with the signature');
  if (bytes.length > 12) checkCommand(bytes[12] as number);
  if (bytes.length < FIXED) return undefined;
  const length = FIXED + bytes.readUInt16BE(14);
  if (length > PROXY_HEADER_MAX) {
    throw new WireError('FRAME_TOO_LARGE', `PROXY header of ${length} bytes, at most ${PROXY_HEADER_MAX}`);
  }
  if (bytes[12] === (VERSION | LOCAL))
    return bytes.length < length ? undefined : { header: { command: 'local' }, length };
  const family = familyOf(bytes[13] as number);
  const size = family === 4 ? 4 : 16;
  if (length < FIXED + 2 * size + 4) throw invalid('it is too short for its addresses');
  if (bytes.length < length) return undefined;
  // Copies: the caller may use its buffer again
  const end = (at: number, port: number): ProxyEnd => ({
    address: Uint8Array.from(bytes.subarray(at, at + size)),
    port: bytes.readUInt16BE(port),
  });
  const ports = FIXED + 2 * size;
  const source = end(FIXED, ports);
  const destination = end(FIXED + size, ports + 2);
  return { header: { command: 'proxy', family, source, destination }, length };
}

function checkCommand(byte: number): void {
  if ((byte & 0xf0) !== VERSION) throw invalid(`it is of version ${byte >> 4}; version 2 is read`);
  if (byte !== (VERSION | LOCAL) && byte !== (VERSION | PROXY)) throw invalid('its command is neither LOCAL nor PROXY');
}

function familyOf(byte: number): 4 | 6 {
  if (byte === TCP4) return 4;
  if (byte === TCP6) return 6;
  throw invalid(`its family is 0x${byte.toString(16).padStart(2, '0')}; TCP over IPv4 (0x11) and IPv6 (0x21) are read`);
}

function invalid(what: string): WireError {
  return new WireError('FRAME_INVALID', `no PROXY header that is read here: ${what}`);
}
