import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeSpans, missingTests, tables } from './tables.ts';

const root = join(import.meta.dirname, '../..');
const rows = tables(readFileSync(join(root, 'SPECIFICATION.md'), 'utf8'), 'What');

const UNITS: Readonly<Record<string, number>> = {
  bytes: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
};

/** A number with its unit: bytes, or milliseconds, or a count. */
function amountOf(text: string): number {
  const [, digits = '', unit] = /^([\d,]+)(?: (\w+))?$/.exec(text) ?? [];
  const factor = unit === undefined ? 1 : UNITS[unit];
  assert.ok(digits !== '' && factor !== undefined, `${text} is no number with a unit that is known`);
  return Number(digits.replaceAll(',', '')) * factor;
}

/** What a source has under a name: its own export, or a field of its limits. */
async function sourceValues(cell: string): Promise<number[]> {
  const [path = '', ...names] = codeSpans(cell);
  const module = (await import(join(root, path))) as Record<string, unknown> & { limits?: Record<string, unknown> };
  return names.map((name) => {
    const value = module[name] ?? module.limits?.[name];
    assert.equal(typeof value, 'number', `${path} has no number ${name}`);
    // Fields that count seconds say so in their names
    return Number(value) * (name.endsWith('Seconds') ? 1_000 : 1);
  });
}

const performance = readFileSync(join(root, 'docs/performance.md'), 'utf8');

/** A figure of a benchmark, that docs/performance.md has as well, keeps what is promised: a rate is at least that, all else at most. */
function holdMeasured(measured: string, promised: string, shownBy: string): void {
  assert.ok(codeSpans(shownBy)[0]?.startsWith('bench/'), shownBy);
  const figure = new RegExp(`(?<![\\d.,])${measured.replaceAll('.', '\\.')}(?![\\d,]|\\.\\d)`);
  assert.ok(figure.test(performance), `docs/performance.md does not have ${measured} (any more): take its new figure`);
  const [found, most] = [measured, promised].map((text) => Number.parseFloat(text.replaceAll(',', ''))) as [
    number,
    number,
  ];
  assert.ok(promised.endsWith(' a second') ? found >= most : found <= most, `${measured} beside ${promised}`);
}

describe('SPECIFICATION.md', () => {
  it('promises numbers of each kind', () => {
    assert.ok(rows.length >= 40, String(rows.length));
  });

  for (const [what = '', number = '', source = '', shownBy = ''] of rows) {
    it(`${what}: ${number}`, async () => {
      assert.deepEqual(missingTests(shownBy), []);
      if (source === '–') return assert.equal(number, '0');
      const [, measured] = /^measured: ([\d,.]+)$/.exec(source) ?? [];
      if (measured !== undefined) return holdMeasured(measured, number, shownBy);
      for (const value of await sourceValues(source)) assert.equal(value, amountOf(number));
    });
  }

  it('reads numbers with their units', () => {
    assert.deepEqual(['10,000', '16 KiB', '5 min'].map(amountOf), [10_000, 16_384, 300_000]);
    assert.throws(() => amountOf('some'), /no number/);
  });
});
