import assert from 'node:assert/strict';
import fc from 'fast-check';
import { holds } from '../../../test/properties/cases.ts';
import { ApiError } from '../../src/api/api-error.ts';
import { base64Field, pemField } from '../../src/api/fields.ts';

const field = fc.uint8Array({ maxLength: 1024 });

/** Bytes of a text, or the code of its refusal. Anything else that is thrown fails the property. */
function outcome(read: () => Uint8Array): Buffer | string {
  try {
    return Buffer.from(read());
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error));
    return error.code;
  }
}

describe('fields of the attestation API: properties', function () {
  this.timeout(120_000);

  it('bytes come back from base64 of either alphabet, padded or not', () =>
    holds(
      fc.property(field, fc.boolean(), fc.boolean(), (bytes, urlSafe, padded) => {
        const standard = Buffer.from(bytes).toString('base64');
        const alphabet = urlSafe ? standard.replaceAll('+', '-').replaceAll('/', '_') : standard;
        const text = padded ? alphabet : alphabet.replace(/=+$/, '');
        assert.deepEqual(
          outcome(() => base64Field('nonce', text)),
          Buffer.from(bytes),
        );
      }),
      500,
    ));

  it('a text gives the bytes of which it is the base64, or is refused', () =>
    holds(
      fc.property(
        fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ unit: fc.constantFrom(...'AQgw+/-_=\n ') })),
        (text) => {
          const found = outcome(() => base64Field('nonce', text));
          if (found === 'API_FIELD') return;
          const plain = text.replaceAll('-', '+').replaceAll('_', '/').replace(/=+$/, '');
          assert.equal((found as Buffer).toString('base64').replace(/=+$/, ''), plain);
        },
      ),
      2_000,
    ));

  it('DER comes back from one PEM block, whatever its label and line length', () =>
    holds(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 1024 }),
        fc.constantFrom('PUBLIC KEY', 'RSA PUBLIC KEY', 'CERTIFICATE', 'X25519 KEY'),
        fc.integer({ min: 1, max: 80 }),
        fc.constantFrom('\n', '\r\n'),
        (der, label, width, end) => {
          const lines =
            Buffer.from(der)
              .toString('base64')
              .match(new RegExp(`.{1,${width}}`, 'g')) ?? [];
          const pem = [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join(end);
          assert.deepEqual(
            outcome(() => pemField('public_key', pem)),
            Buffer.from(der),
          );
        },
      ),
      300,
    ));

  it('no text makes the reader of PEM fail otherwise than by a refusal, nor slow', () =>
    holds(
      fc.property(
        fc
          .array(
            fc.constantFrom('-----BEGIN ', '-----END ', '-----', 'PUBLIC KEY', 'PRIVATE KEY', 'QUJD', '\n', ' ', '='),
            { maxLength: 2_000 },
          )
          .map((words) => words.join('')),
        (text) => {
          const found = outcome(() => pemField('public_key', text));
          if (typeof found !== 'string') assert.ok(found.length > 0 && found.length <= 1024);
        },
      ),
      500,
    ));
});
