import assert from 'node:assert/strict';
import { workplace, writeApp } from './trust-support.ts';

/** No stack answers in a workplace: a command that gets as far as to ask for one fails by that. */
const PASSED = /error\[BUS_CREDENTIALS_INVALID\]/;

describe('enclaver run --verify-before-run', function () {
  this.timeout(60_000);

  it('goes on with the image that is expected, however that is written', async () => {
    await using place = await workplace();
    const { stdout } = await place.enclaver('trust', 'app.eif', '-o', 'json');
    await place.write(
      'approved.json',
      stdout.toUpperCase().replace('MEASUREMENTS', 'Measurements').replace('HASHALGORITHM', 'HashAlgorithm'),
    );
    const { code, stderr } = await place.enclaver('run', 'app.eif', '--verify-before-run', 'approved.json');
    assert.equal(code, 1);
    assert.match(stderr, PASSED);
    assert.doesNotMatch(stderr, /MEASUREMENTS_DIFFER/);
  });

  it('says which registers differ, ends with 110, and starts nothing', async () => {
    await using place = await workplace();
    const expected = await writeApp(place.file('approved.eif'), 'the approved app', true);
    await place.write('approved.json', expected);
    const { code, stdout, stderr } = await place.enclaver('run', 'app.eif', '--verify-before-run', 'approved.json');
    assert.deepEqual([code, stdout], [110, '']);
    assert.match(stderr, /error\[MEASUREMENTS_DIFFER\]: PCR0, PCR2, PCR8 of the image are not as expected/);
    for (const register of ['PCR0', 'PCR2', 'PCR8'] as const) {
      assert.match(stderr, new RegExp(`${register} expected ${expected[register]}\n +${register} found +[0-9a-f]{96}`));
    }
    assert.doesNotMatch(stderr, PASSED);
    assert.doesNotMatch(stderr, /PCR1 /);
  });

  it('says that PCR3 and PCR4 are not checked', async () => {
    await using place = await workplace();
    const { stdout } = await place.enclaver('trust', 'app.eif', '-o', 'json', '--instance-id', 'i-0a22e5c5f24d22174');
    await place.write('approved.json', stdout);
    const { stderr } = await place.enclaver('run', 'app.eif', '--verify-before-run', 'approved.json');
    assert.match(stderr, /^not checked: PCR4 of approved\.json is about the instance/);
    assert.match(stderr, PASSED);
  });

  for (const [name, content, args, code, text] of [
    ['debug mode', { PCR0: 'a'.repeat(96) }, ['-d'], 2, /USAGE.*attests zeros/],
    ['zeros', { PCR0: '0'.repeat(96) }, [], 1, /EXPECTATION_INVALID.*all zeros/],
    ['no register', {}, [], 1, /EXPECTATION_INVALID/],
    ['no JSON', 'PCR0=1', [], 1, /EXPECTATION_INVALID.*not JSON/],
  ] as const) {
    it(`refuses ${name}`, async () => {
      await using place = await workplace();
      await place.write('approved.json', content);
      const result = await place.enclaver('run', 'app.eif', '--verify-before-run', 'approved.json', ...args);
      assert.equal(result.code, code);
      assert.match(result.stderr, text);
    });
  }

  it('refuses a missing file before anything else', async () => {
    await using place = await workplace();
    const { code, stderr } = await place.enclaver('run', 'some/image:1', '--verify-before-run', 'none.json');
    assert.equal(code, 1);
    assert.match(stderr, /error\[EXPECTATION_UNREADABLE\]/);
  });
});
