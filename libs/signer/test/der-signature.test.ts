import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import fc from 'fast-check';
import { rawSignature } from '../src/der-signature.ts';

const der = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');

describe('DER signatures', () => {
  for (const [namedCurve, hash, width] of [
    ['P-256', 'sha256', 32],
    ['P-384', 'sha384', 48],
    ['P-521', 'sha512', 66],
  ] as const) {
    it(`become r‖s that verifies on ${namedCurve}`, () => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
      for (let round = 0; round < 100; round += 1) {
        const message = Buffer.from(`${round}`);
        const raw = rawSignature(sign(hash, message, { key: privateKey, dsaEncoding: 'der' }), width);
        assert.equal(raw.length, 2 * width);
        assert.ok(verify(hash, message, { key: publicKey, dsaEncoding: 'ieee-p1363' }, raw));
      }
    });
  }

  it('pads small numbers', () => {
    assert.equal(rawSignature(der('30 06 02 01 01 02 01 7f'), 2).toString('hex'), '0001007f');
    assert.equal(rawSignature(der('30 08 02 02 00 80 02 02 00 ff'), 2).toString('hex'), '008000ff');
    assert.equal(rawSignature(der('30 06 02 01 00 02 01 00'), 2).toString('hex'), '00000000');
  });

  it('are refused in every other form', () => {
    for (const hex of [
      '',
      '30',
      '30 00',
      '31 06 02 01 01 02 01 7f',
      '30 06 02 01 01 02 01',
      '30 06 02 01 01 02 01 7f 00',
      '30 07 02 01 01 02 01 7f 00',
      '30 06 03 01 01 02 01 7f',
      '30 06 02 01 80 02 01 7f',
      '30 05 02 00 02 01 7f',
      '30 07 02 02 00 01 02 01 7f',
      '30 81 06 02 01 01 02 01 7f',
      '30 80 02 01 01 02 01 7f 00 00',
      '30 82 00 06 02 01 01 02 01 7f',
      '30 08 02 03 01 00 00 02 01 7f',
    ]) {
      assert.throws(() => rawSignature(der(hex), 2), RangeError, hex);
    }
  });

  it('never give anything but 2 × width bytes or a RangeError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 150 }), fc.boolean(), (bytes, framed) => {
        const input = framed ? Uint8Array.of(0x30, bytes.length & 0x7f, ...bytes) : bytes;
        try {
          assert.equal(rawSignature(input, 48).length, 96);
        } catch (error) {
          assert.ok(error instanceof RangeError);
        }
      }),
    );
  });
});
