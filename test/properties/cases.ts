import assert from 'node:assert/strict';
import fc from 'fast-check';

/**
 * Every property runs through here, so that one setting says how many cases there are and one seed repeats them all.
 * `npm test` runs each property's own number, `scripts/nightly` a multiple of it.
 */
const factor = setting('PROPERTY_FACTOR', 1);
const seed = setting('PROPERTY_SEED', Date.now() % 2 ** 31);

/** A case on bytes of a few KiB takes milliseconds; one that takes this long would hold up whoever has to read it. */
const SLOWEST_MS = 5_000;

const total = { properties: 0, cases: 0, slowestMs: 0 };

type Property<Values> = fc.IPropertyWithHooks<Values> | fc.IAsyncPropertyWithHooks<Values>;

/** Runs `cases` times PROPERTY_FACTOR cases of a property. The error has the counterexample and how to repeat it. */
export async function holds<Values>(property: Property<Values>, cases: number): Promise<void> {
  let start = 0;
  let slowestMs = 0;
  property.beforeEach(() => {
    start = performance.now();
  });
  property.afterEach(() => {
    slowestMs = Math.max(slowestMs, performance.now() - start);
  });
  const details = await fc.check<Values>(property, {
    numRuns: Math.ceil(cases * factor),
    seed,
    includeErrorInReport: true,
  });
  total.properties += 1;
  total.cases += details.numRuns;
  total.slowestMs = Math.max(total.slowestMs, slowestMs);
  const report = await fc.asyncDefaultReportMessage(details);
  assert.ok(report === undefined, `${report}\nrepeat with PROPERTY_SEED=${seed} PROPERTY_FACTOR=${factor}`);
  assert.ok(slowestMs < SLOWEST_MS, `a case took ${Math.round(slowestMs)} ms (PROPERTY_SEED=${seed})`);
}

after('how many cases there were', () => {
  const { properties, cases, slowestMs } = total;
  process.stdout.write(
    `\n${cases} cases of ${properties} properties, slowest ${Math.ceil(slowestMs)} ms, seed ${seed}\n`,
  );
});

function setting(name: string, otherwise: number): number {
  const value = Number(process.env[name] ?? otherwise);
  assert.ok(Number.isFinite(value) && value >= 0, `${name} must be a number`);
  return value;
}
