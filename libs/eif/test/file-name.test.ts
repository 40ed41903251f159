import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fileName, parseName, showMode, showName } from '../src/index.ts';

describe('names of files', () => {
  it('are shown on one printable line, each in its own way, and can be typed as shown', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 30 }),
      fc.string({ unit: 'binary', maxLength: 30 }).map((text) => Buffer.from(text)),
      fc.constantFrom('\\x41', '\\', '\\\\n', '\u202e\u200b\u2028\ufeff', '\u{e0001}').map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(bytes, (name) => {
        const shown = showName(name);
        assert.doesNotMatch(shown, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        assert.deepEqual(parseName(shown), Buffer.from(name));
        assert.equal(showName(fileName(Buffer.from(name))), shown);
      }),
      { numRuns: 2000 },
    );
  });

  it('come in JSON with their bytes where they are not UTF-8', () => {
    assert.deepEqual(fileName(Buffer.from('a\nb')), { path: 'a\nb' });
    assert.deepEqual(fileName(Buffer.from('61ff', 'hex')), { path: 'a\ufffd', pathBase64: 'Yf8=' });
  });

  it('have modes as ls shows them', () => {
    const shown = [0o100644, 0o104755, 0o102644, 0o041777, 0o041776, 0o120777, 0o020600, 0o060660, 0o010000, 0o140007];
    assert.deepEqual(shown.map(showMode), [
      '-rw-r--r--',
      '-rwsr-xr-x',
      '-rw-r-Sr--',
      'drwxrwxrwt',
      'drwxrwxrwT',
      'lrwxrwxrwx',
      'crw-------',
      'brw-rw----',
      'p---------',
      's------rwx',
    ]);
  });
});
