import assert from 'node:assert/strict';
import { join } from 'node:path';
import fc from 'fast-check';
import { holds } from '../properties/cases.ts';
import { mutationsOf } from '../properties/mutations.ts';
import { runFuzzer } from './engine/run.ts';
import type { FuzzTarget } from './target.ts';
import { readCorpus, targets } from './targets.ts';

const CASES = 5_000;

/** Short runs with what earlier ones have found, so that nothing of it comes back; `npm run fuzz` looks for more. */
describe('fuzzing', function () {
  this.timeout(120_000);

  it('has a target for whatever somebody else writes', () => {
    assert.ok(targets.length >= 25, targets.map(({ name }) => name).join());
  });

  for (const { name, path } of targets.filter(({ language }) => language === 'typescript')) {
    it(`${name}: seeds, corpus and mutations of them`, async () => {
      const { seeds, fuzz } = (await import(path)) as FuzzTarget;
      const inputs = [...seeds.map((seed) => Buffer.from(seed)), ...readCorpus(name)];
      for (const input of inputs) await fuzz(input);
      const mutated = fc.constantFrom(...inputs).chain((input) => mutationsOf(input));
      await holds(
        fc.asyncProperty(mutated, async (input) => {
          await fuzz(input);
        }),
        CASES,
      );
    });
  }

  for (const target of targets.filter(({ language }) => language === 'c')) {
    it(`${target.name}: its corpus and ${CASES} cases, under AddressSanitizer and UBSan`, async () => {
      const { failure } = await runFuzzer(target, { args: [`-runs=${CASES}`] });
      assert.equal(failure, undefined, failure);
    });
  }

  it('finds a fault that only shows step by step, since it is guided by what is covered', async () => {
    const planted = { name: 'planted', language: 'typescript', path: join(import.meta.dirname, 'planted.ts') } as const;
    const { failure = '' } = await runFuzzer(planted, { args: ['-runs=1000000', '-seed=1'] });
    assert.match(failure, /the planted fault/);
    assert.match(failure, /Test unit written to \S+/);
  });
});
