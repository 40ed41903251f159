import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeProxyHeader, encodeProxyHeader, PROXY_HEADER_MAX, type ProxyHeader, WireError } from '../src/index.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

const end = (size: number) =>
  fc
    .tuple(fc.uint8Array({ minLength: size, maxLength: size }), fc.nat(0xffff))
    .map(([address, port]) => ({ address, port }));
const ofFamily = (family: 4 | 6) =>
  fc
    .tuple(end(family === 4 ? 4 : 16), end(family === 4 ? 4 : 16))
    .map(([source, destination]) => ({ command: 'proxy' as const, family, source, destination }));
const headers: fc.Arbitrary<ProxyHeader> = fc.oneof(
  fc.constant({ command: 'local' as const }),
  ofFamily(4),
  ofFamily(6),
);

describe('PROXY protocol, version 2', () => {
  const tcp4: ProxyHeader = {
    command: 'proxy',
    family: 4,
    source: { address: Uint8Array.of(192, 0, 2, 7), port: 51234 },
    destination: { address: Uint8Array.of(198, 51, 100, 1), port: 443 },
  };
  const tcp6: ProxyHeader = {
    command: 'proxy',
    family: 6,
    source: { address: Uint8Array.from(hex('20010db8000000000000000000000007')), port: 51234 },
    destination: { address: Uint8Array.from(hex('20010db8000000000000000000000001')), port: 443 },
  };

  // Forms that HAProxy 2.6 sends with send-proxy-v2, and those that its text describes
  const known: [string, string, ProxyHeader][] = [
    ['TCP over IPv4', '21 11 000c c0000207 c6336401 c822 01bb', tcp4],
    ['TCP over IPv6', '21 21 0024 20010db8000000000000000000000007 20010db8000000000000000000000001 c822 01bb', tcp6],
    ['LOCAL of a health check', '20 00 0000', { command: 'local' }],
    ['LOCAL with addresses, which do not count', '20 11 000c 7f000001 7f000001 0000 0000', { command: 'local' }],
    ['types behind the addresses', '21 11 0013 c0000207 c6336401 c822 01bb 04 0004 00000000', tcp4],
  ];
  for (const [what, bytes, header] of known) {
    it(`reads ${what}`, () => {
      const whole = Buffer.concat([hex(SIGNATURE + bytes), Buffer.from('GET /')]);
      assert.deepEqual(decodeProxyHeader(whole), { header, length: whole.length - 5 });
    });
  }

  const wrong: [string, string][] = [
    ['no header at all', '474554202f20485454502f312e310d0a'],
    ['version 1', '50524f585920544350'],
    ['another version', `${SIGNATURE}31 11 000c`],
    ['an unknown command', `${SIGNATURE}22 11 000c`],
    ['UNSPEC with PROXY', `${SIGNATURE}21 00 0000`],
    ['UDP', `${SIGNATURE}21 12 000c c0000207 c6336401 c822 01bb`],
    ['a Unix socket', `${SIGNATURE}21 31 00d8`],
    ['an unassigned family', `${SIGNATURE}21 41 000c`],
    ['a length below that of its addresses', `${SIGNATURE}21 11 000b c0000207 c6336401 c822 01`],
    ['IPv6 with the length of IPv4', `${SIGNATURE}21 21 000c c0000207 c6336401 c822 01bb`],
    ['a length above the bound', `${SIGNATURE}21 11 ffff`],
    ['LOCAL with a length above the bound', `${SIGNATURE}20 00 0209`],
  ];
  for (const [what, bytes] of wrong) {
    it(`refuses ${what}`, () => assert.throws(() => decodeProxyHeader(hex(bytes)), WireError));
  }

  it('comes back from its bytes, whatever follows, and not before its last one', () => {
    fc.assert(
      fc.property(headers, fc.uint8Array({ maxLength: 40 }), (header, more) => {
        const bytes = encodeProxyHeader(header);
        const read = decodeProxyHeader(Buffer.concat([bytes, more]));
        assert.deepEqual(read, { header, length: bytes.length });
        for (let cut = 0; cut < bytes.length; cut++) {
          assert.equal(decodeProxyHeader(bytes.subarray(0, cut)), undefined);
        }
      }),
    );
  });

  it('keeps what it has read when the buffer is used again', () => {
    const bytes = encodeProxyHeader(tcp4);
    const read = decodeProxyHeader(bytes);
    bytes.fill(0);
    assert.deepEqual(read, { header: tcp4, length: bytes.length });
  });

  it('of any bytes is undefined, a header within its bounds, or a WireError', () => {
    const mutated = fc
      .tuple(headers, fc.uint8Array({ maxLength: 600 }), fc.nat(60), fc.nat(255))
      .map(([header, more, place, byte]) => {
        const bytes = Buffer.concat([encodeProxyHeader(header), more]);
        bytes[Math.min(place, bytes.length - 1)] = byte;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 600 }).map(Buffer.from)), (bytes) => {
        try {
          const read = decodeProxyHeader(bytes);
          if (read === undefined) return;
          assert.ok(read.length >= 16 && read.length <= Math.min(bytes.length, PROXY_HEADER_MAX));
          if (read.header.command === 'local') return;
          const size = read.header.family === 4 ? 4 : 16;
          assert.equal(read.header.source.address.length, size);
          assert.equal(read.header.destination.address.length, size);
        } catch (error) {
          if (!(error instanceof WireError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });
});
