import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { codeSpans, tables } from '../docs/tables.ts';
import { holds } from '../properties/cases.ts';
import { mutationsOf } from '../properties/mutations.ts';
import { runFuzzer } from './engine/run.ts';
import type { FuzzTarget } from './target.ts';
import { readCorpus, targets } from './targets.ts';

const CASES = 5_000;

/** Readers of what is signed, measured, proxied or told over a border: none of them goes unnoticed. */
const MUST =
  'bus-messages cbor cms cose cpio egress-frames eif http-egress http-ingress layer manifest nitro-output sigv4 status-lines';

/** Short runs with what earlier ones have found, so that nothing of it comes back; `npm run fuzz` looks for more. */
describe('fuzzing', function () {
  this.timeout(120_000);

  it('has a target for whatever somebody else writes, and docs/fuzzing.md says who', () => {
    const document = readFileSync(join(import.meta.dirname, '../../docs/fuzzing.md'), 'utf8');
    const documented = tables(document, 'Target').flatMap(([names = '']) => codeSpans(names));
    assert.deepEqual(documented.sort(), targets.map(({ name }) => name).sort());
    for (const name of MUST.split(' ')) assert.ok(documented.includes(name), name);
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

  const planted = { name: 'planted', language: 'typescript', path: join(import.meta.dirname, 'planted.ts') } as const;

  it('finds a fault that only shows step by step, since it is guided by what is covered', async () => {
    const { failure = '' } = await runFuzzer(planted, { args: ['-runs=1000000', '-seed=1'] });
    assert.match(failure, /the planted fault/);
    assert.match(failure, /Test unit written to \S+/);
  });

  it('counts the memory of the fuzzer, and not what the process that starts it has had', async () => {
    const held = Buffer.alloc(512 * 1024 ** 2, 1);
    const { failure = '' } = await runFuzzer(planted, { args: ['-runs=1000000', '-seed=1'] });
    assert.ok(Number(/peak_rss_mb:\s+(\d+)/.exec(failure)?.[1]) < 400, failure);
    assert.equal(held.at(-1), 1);
  });
});
