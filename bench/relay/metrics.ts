import type { Result } from '../results.ts';

/** Echoes of a small request: bytes, and connections that each have one on its way. */
export const ECHOES = [
  { bytes: 64, connections: 1 },
  { bytes: 64, connections: 64 },
  { bytes: 1024, connections: 1 },
  { bytes: 1024, connections: 64 },
] as const;
export const PERCENTILES = ['p50', 'p99', 'p99.9'] as const;
type Echo = `${64 | 1024} B x ${1 | 64} ${(typeof PERCENTILES)[number]}`;

export function echoMetric({ bytes, connections }: (typeof ECHOES)[number], of: (typeof PERCENTILES)[number]): Echo {
  return `${bytes} B x ${connections} ${of}`;
}

export const BULK = ['up1', 'down1', 'up8', 'down8'] as const;
const CPU = ['cpuUp', 'cpuDown', 'cpuConn'] as const;
export type Metric = (typeof BULK)[number] | (typeof CPU)[number] | Echo | 'rate';
export const METRICS: readonly Metric[] = [
  ...BULK,
  ...CPU,
  ...ECHOES.flatMap((echo) => PERCENTILES.map((of) => echoMetric(echo, of))),
  'rate',
];

export const lessIsBetter = (metric: Metric): boolean => metric !== 'rate' && !BULK.some((bulk) => bulk === metric);

/** What one relay came to. */
export interface Measured {
  readonly name: string;
  readonly samples: Readonly<Record<Metric, readonly number[]>>;
}

interface Row {
  readonly metric: Metric;
  readonly what: string;
  readonly unit: string;
  readonly ours: string;
  readonly ratio: number;
  readonly beside: RegExp;
}

const NATIVE = 'ours, native accept';
const DECIDED = 'ours, JavaScript decides';
/** Without what does more than relay: a header and rules. */
const TUNED = /^(HAProxy|nginx stream), 256 k$/;
const DEFAULT = /^(HAProxy|nginx stream), default/;
const PEER = /^(HAProxy|nginx stream), (256 k$|default)/;
const HAPROXY = /^HAProxy, (256 k$|default)/;

const BULK_TEXT = {
  up1: 'bulk up, 1 stream',
  down1: 'bulk down, 1 stream',
  up8: 'bulk up, 8 streams',
  down8: 'bulk down, 8 streams',
} as const;

function bulkRows(metric: (typeof BULK)[number]): Row[] {
  const row = { metric, unit: 'GB/s', ours: NATIVE };
  return [
    { ...row, what: BULK_TEXT[metric], ratio: 1, beside: TUNED },
    {
      ...row,
      what: `${BULK_TEXT[metric]}, default buffers`,
      ratio: metric.startsWith('up') ? 1.2 : 1.9,
      beside: DEFAULT,
    },
  ];
}

/** The goals, a row each. */
const ROWS: readonly Row[] = [
  ...BULK.flatMap(bulkRows),
  ...ECHOES.flatMap((echo) =>
    PERCENTILES.map((of) => ({
      metric: echoMetric(echo, of),
      what: `echo of ${echo.bytes} B, ${echo.connections} connection${echo.connections === 1 ? '' : 's'}, ${of}`,
      unit: 'µs',
      ours: NATIVE,
      ratio: 1,
      beside: PEER,
    })),
  ),
  { metric: 'rate', what: 'new connections', unit: '1/s', ours: NATIVE, ratio: 1.1, beside: HAPROXY },
  {
    metric: 'rate',
    what: 'new connections, JavaScript decides',
    unit: '1/s',
    ours: DECIDED,
    ratio: 0.8,
    beside: HAPROXY,
  },
];

/** A line for each goal, ours and what it is beside. */
export function results(all: readonly Measured[]): Result[] {
  return ROWS.flatMap(({ metric, what, unit, ours, ratio, beside }) => {
    const mine = all.find(({ name }) => name === ours);
    if (mine === undefined) return [];
    const others = all.filter(({ name }) => name !== 'direct' && !name.startsWith('ours'));
    const named = others.map(({ name }) => name).filter((name) => beside.test(name));
    const samples = Object.fromEntries([mine, ...others].map((one) => [one.name, one.samples[metric]]));
    const better = lessIsBetter(metric) ? 'less' : 'more';
    return [{ metric: what, unit, better, samples, ...(named.length > 0 && { goal: { ratio, beside: named } }) }];
  });
}
