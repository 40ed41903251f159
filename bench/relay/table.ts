import { judge } from '../harness/verdict.ts';
import { summarize } from '../statistics.ts';
import { ECHOES, echoMetric, type Measured, type Metric, PERCENTILES, results } from './metrics.ts';

interface Row extends Measured {
  readonly idleBytes: number;
}

function show(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '–';
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Medians of each relay, in two tables, and a line for each goal. */
export function tables(rows: readonly Row[]): string {
  const median = (row: Row, metric: Metric): number => summarize(row.samples[metric]).median;
  const bulk = rows.map((row) => [
    row.name,
    `${show(median(row, 'up1'), 2)} / ${show(median(row, 'down1'), 2)}`,
    `${show(median(row, 'up8'), 2)} / ${show(median(row, 'down8'), 2)}`,
    `${show(median(row, 'cpuUp'), 2)} / ${show(median(row, 'cpuDown'), 2)}`,
    `${show(median(row, 'rate') / 1000, 1)} k`,
    show(median(row, 'cpuConn'), 0),
    show(row.idleBytes, 0),
  ]);
  const echoes = rows.map((row) => [
    row.name,
    ...ECHOES.map((echo) =>
      PERCENTILES.map((of) => show(median(row, echoMetric(echo, of)), echo.connections === 1 ? 1 : 0)).join(' / '),
    ),
  ]);
  const goals = results(rows).map((result) => {
    const { best, reached = Number.NaN } = judge(result);
    const ratio = result.goal && 'ratio' in result.goal ? result.goal.ratio : Number.NaN;
    return [
      result.metric,
      best?.name ?? '–',
      show(best?.ratio ?? Number.NaN, 2),
      show(ratio, 1),
      reached >= 1 ? 'yes' : 'no',
    ];
  });
  return [
    markdown(
      [
        '',
        '1 up / down, GB/s',
        '8 up / down, GB/s',
        'relay CPU s per GB up / down',
        'conn/s',
        'relay CPU µs per connection',
        'bytes per idle connection',
      ],
      bulk,
    ),
    markdown(
      ['p50 / p99 / p99.9, µs', ...ECHOES.map(({ bytes, connections }) => `${bytes} B, ${connections} conn`)],
      echoes,
    ),
    markdown(['', 'best beside it', 'times as good', 'goal', 'met'], goals),
  ].join('\n\n');
}
