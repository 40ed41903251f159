import assert from 'node:assert/strict';
import fc from 'fast-check';
import { checkMeasurements, compareMeasurements, parseExpectation, registerNames, uncheckable } from '../src/index.ts';
import { pcr, refusal } from './support.ts';

const parse = (value: unknown) =>
  parseExpectation(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
const image = { PCR0: pcr('a'), PCR1: pcr('b'), PCR2: pcr('c') };

describe('expected measurements', () => {
  it('reads what trust, nitro-cli and build print, and a bare map', () => {
    const Measurements = { HashAlgorithm: 'Sha384 { ... }', ...image };
    assert.deepEqual(parse({ Measurements }), image);
    assert.deepEqual(parse({ EifVersion: 4, Measurements, IsSigned: false, Metadata: {} }), image);
    assert.deepEqual(parse({ Sources: { App: { ID: 'sha256:0' } }, Measurements, Image: { ID: 'x' } }), image);
    assert.deepEqual(parse(image), image);
    assert.deepEqual(parse({ PCR8: pcr('d') }), { PCR8: pcr('d') });
    assert.deepEqual(parse({ PCR1: pcr('b'), PCR2: pcr('c'), PCR3: pcr('e') }), {
      PCR1: pcr('b'),
      PCR2: pcr('c'),
      PCR3: pcr('e'),
    });
  });

  it('takes hexadecimal digits of either case', () => {
    assert.deepEqual(parse({ PCR0: pcr('A') }), { PCR0: pcr('a') });
  });

  for (const [name, given, text] of [
    ['nothing', '', /not JSON/],
    ['an array', [], /.*/],
    ['null', 'null', /.*/],
    ['no register', {}, /no register/],
    ['an empty Measurements', { Measurements: {} }, /no register/],
    ['PCR1 alone', { PCR1: pcr('a') }, /PCR1, which names no image/],
    ['PCR2 alone', { PCR2: pcr('a') }, /names no image/],
    ['the instance alone', { PCR3: pcr('a'), PCR4: pcr('b') }, /names no image/],
    ['a register too short', { PCR0: pcr('a').slice(1) }, /PCR0 must have 96/],
    ['a register too long', { PCR0: `${pcr('a')}a` }, /96/],
    ['other letters', { PCR0: pcr('g') }, /96/],
    ['a number', { PCR0: 1 }, /PCR0/],
    ['zeros', { PCR0: pcr('0') }, /PCR0 is all zeros/],
    ['zeros beside values', { ...image, PCR8: pcr('0') }, /PCR8 is all zeros/],
    ['a register that is none of the image', { ...image, PCR16: pcr('a') }, /PCR16/],
    ['another spelling', { ...image, pcr8: pcr('a') }, /pcr8/],
    ['a leading zero', { ...image, PCR08: pcr('a') }, /PCR08/],
    ['another key', { ...image, Comment: 'x' }, /Comment/],
    ['another hash', { ...image, HashAlgorithm: 'Sha256' }, /Sha384/],
    ['registers in two places', { Measurements: image, PCR0: pcr('a') }, /outside/],
    ['a register twice', `{"PCR0":"${pcr('a')}","PCR0":"${pcr('b')}"}`, /"PCR0" comes twice/],
    ['Measurements twice', `{"Measurements":{},"Measurements":{"PCR0":"${pcr('b')}"}}`, /twice/],
    ['too deep', `${'['.repeat(100)}${']'.repeat(100)}`, /levels/],
    ['too large', ' '.repeat(600_000), /bytes/],
  ] as const) {
    it(`refuses ${name}`, () => assert.throws(() => parse(given), refusal('EXPECTATION_INVALID', text)));
  }

  it('refuses what is not UTF-8', () => {
    assert.throws(() => parseExpectation(Buffer.from([0x7b, 0xff, 0x7d])), refusal('EXPECTATION_INVALID', /UTF-8/));
  });

  it('refuses or reads any JSON, and throws nothing else', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        try {
          parse(text);
        } catch (error) {
          refusal('EXPECTATION_INVALID')(error);
        }
      }),
    );
  });
});

describe('comparison', () => {
  it('finds nothing where all that is expected is there', () => {
    assert.deepEqual(compareMeasurements(image, { ...image, PCR8: pcr('d') }), []);
    checkMeasurements({ PCR0: image.PCR0 }, image);
  });

  it('names each register that differs with what was expected and found', () => {
    const found = { ...image, PCR0: pcr('1'), PCR2: pcr('2') };
    assert.deepEqual(compareMeasurements(image, found), [
      { register: 'PCR0', expected: pcr('a'), found: pcr('1') },
      { register: 'PCR2', expected: pcr('c'), found: pcr('2') },
    ]);
    assert.throws(
      () => checkMeasurements(image, found),
      refusal('MEASUREMENTS_DIFFER', /PCR0, PCR2 .*PCR0 expected a{96}\n.*PCR0 found +1{96}\n.*PCR2 expected c{96}/s),
    );
  });

  it('takes a missing signature for zeros', () => {
    assert.deepEqual(compareMeasurements({ PCR8: pcr('d') }, image), [
      { register: 'PCR8', expected: pcr('d'), found: pcr('0') },
    ]);
    assert.throws(() => checkMeasurements({ PCR8: pcr('d') }, image), refusal('MEASUREMENTS_DIFFER', /not set/));
  });

  it('says which registers an image cannot answer for', () => {
    const expected = { ...image, PCR3: pcr('3'), PCR4: pcr('4') };
    assert.deepEqual(uncheckable(expected), ['PCR3', 'PCR4']);
    checkMeasurements(expected, image);
  });

  it('finds any one digit that differs in any register of the image', () => {
    const all = { ...image, PCR8: pcr('d') };
    const ofImage = registerNames.filter((name): name is keyof typeof all => Object.hasOwn(all, name));
    fc.assert(
      fc.property(fc.constantFrom(...ofImage), fc.nat(95), fc.constantFrom(...'0123456789'), (register, at, digit) => {
        const value = all[register];
        const changed = { ...all, [register]: value.slice(0, at) + digit + value.slice(at + 1) };
        assert.deepEqual(
          compareMeasurements(all, changed).map((each) => each.register),
          [register],
        );
      }),
    );
  });
});
