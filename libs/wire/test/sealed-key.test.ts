import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { readSealedKey, SealedKeyError, sealInEnvelope } from '../src/sealed-key.ts';

describe('a sealed key', () => {
  const dataKey = randomBytes(32);

  it('comes out of its envelope as it went in, with the data key that KMS opens', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 10_000 }),
        fc.uint8Array({ minLength: 1, maxLength: 300 }),
        (key, wrapped) => {
          const read = readSealedKey(Buffer.from(sealInEnvelope(key, dataKey, wrapped)));
          assert.deepEqual(read.ciphertext, Buffer.from(wrapped));
          assert.deepEqual(read.open(dataKey), Buffer.from(key));
        },
      ),
    );
  });

  it('does not come out of one that was changed, and nothing but its own error does', () => {
    const envelope = Buffer.from(sealInEnvelope(Buffer.from('a key'), dataKey, Buffer.from('wrapped')));
    fc.assert(
      fc.property(fc.nat(envelope.length - 1), fc.nat(255), (at, value) => {
        const changed = Buffer.from(envelope);
        changed[at] = value;
        let opened: Buffer | undefined;
        try {
          const read = readSealedKey(changed);
          opened = read.ciphertext.equals(Buffer.from('wrapped')) ? read.open(dataKey) : undefined;
        } catch (error) {
          assert.ok(error instanceof SealedKeyError, String(error));
        }
        // A file that no longer begins like an envelope is taken for a ciphertext, which KMS refuses
        if (opened !== undefined && changed[0] === envelope[0]) assert.deepEqual(opened, Buffer.from('a key'));
      }),
      { numRuns: 2_000 },
    );
  });

  it('is bytes or base64 of KMS otherwise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        const ciphertext = Buffer.concat([Buffer.from([1, 2]), Buffer.from(bytes)]);
        assert.deepEqual(readSealedKey(ciphertext).ciphertext, ciphertext);
        const text = `${ciphertext.toString('base64').replace(/.{64}/g, '$&\r\n')}\n`;
        assert.deepEqual(readSealedKey(Buffer.from(text)).ciphertext, ciphertext);
      }),
    );
  });
});
