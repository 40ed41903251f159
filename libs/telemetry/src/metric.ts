import { limits } from './limits.ts';

export type MetricType = 'counter' | 'gauge' | 'histogram';

/** What a metric is, for the exposition and for the documentation. */
export interface MetricDefinition<L extends string = string> {
  /** As Prometheus names them: with a unit, counters ending in `_total`. */
  name: string;
  help: string;
  labels?: readonly L[];
}

/** A value for each label of the metric. */
export type Labels<L extends string> = Readonly<Record<L, string>>;

interface Series<V> {
  value: V;
  usedAt: number;
}

/**
 * The series of one metric, one for each set of label values. Beyond the bound the one that was not touched for longest
 * goes: to Prometheus a counter that comes back from zero is an ordinary restart.
 */
export abstract class Metric<L extends string, V> {
  readonly type: MetricType;
  readonly definition: MetricDefinition<L>;
  readonly #labels: readonly L[];
  readonly #series = new Map<string, Series<V>>();
  #clock = 0;

  constructor(type: MetricType, definition: MetricDefinition<L>) {
    if (!/^[a-z][a-z0-9_]*$/.test(definition.name)) throw new TypeError(`not a metric name: ${definition.name}`);
    this.type = type;
    this.definition = definition;
    this.#labels = definition.labels ?? [];
    // Without labels there is one series, and it is there from the start: a rate needs its zero
    if (this.#labels.length === 0) this.seriesOf({} as Labels<L>);
  }

  protected abstract initial(): V;
  /** The lines of one series; `labels` is `{a="b"}` or empty. */
  protected abstract lines(labels: string, value: V): string[];

  protected seriesOf(labels: Labels<L>): Series<V> {
    const key = labelText(this.#labels, labels);
    let series = this.#series.get(key);
    if (series === undefined) {
      if (this.#series.size >= limits.seriesPerMetric) this.#evict();
      series = { value: this.initial(), usedAt: 0 };
      this.#series.set(key, series);
    }
    series.usedAt = this.#clock++;
    return series;
  }

  /** Forgets all series: those that are still true are set anew. */
  clear(): void {
    this.#series.clear();
  }

  expose(): string {
    const { name, help } = this.definition;
    const lines = [
      `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`,
      `# TYPE ${name} ${this.type}`,
    ];
    for (const [labels, { value }] of this.#series) lines.push(...this.lines(labels, value));
    return `${lines.join('\n')}\n`;
  }

  #evict(): void {
    let oldest: [string, Series<V>] | undefined;
    for (const entry of this.#series) if (oldest === undefined || entry[1].usedAt < oldest[1].usedAt) oldest = entry;
    if (oldest !== undefined) this.#series.delete(oldest[0]);
  }
}

/** Only grows. */
export class Counter<L extends string = never> extends Metric<L, number> {
  constructor(definition: MetricDefinition<L>) {
    super('counter', definition);
  }

  add(labels: Labels<L>, count = 1): void {
    this.seriesOf(labels).value += count;
  }

  /** For a total that is counted elsewhere. */
  set(labels: Labels<L>, total: number): void {
    this.seriesOf(labels).value = total;
  }

  protected override initial(): number {
    return 0;
  }

  protected override lines(labels: string, value: number): string[] {
    return [`${this.definition.name}${labels} ${value}`];
  }
}

/** Goes up and down. */
export class Gauge<L extends string = never> extends Metric<L, number> {
  constructor(definition: MetricDefinition<L>) {
    super('gauge', definition);
  }

  set(labels: Labels<L>, value: number): void {
    this.seriesOf(labels).value = value;
  }

  protected override initial(): number {
    return 0;
  }

  protected override lines(labels: string, value: number): string[] {
    return [`${this.definition.name}${labels} ${value}`];
  }
}

interface Distribution {
  counts: number[];
  sum: number;
}

/** How values are spread over `buckets`, whose upper bounds rise. */
export class Histogram<L extends string = never> extends Metric<L, Distribution> {
  readonly #buckets: readonly number[];

  constructor(definition: MetricDefinition<L> & { buckets: readonly number[] }) {
    super('histogram', definition);
    this.#buckets = definition.buckets;
  }

  observe(labels: Labels<L>, value: number): void {
    const distribution = this.seriesOf(labels).value;
    const bucket = this.#buckets.findIndex((bound) => value <= bound);
    const index = bucket === -1 ? this.#buckets.length : bucket;
    distribution.counts[index] = (distribution.counts[index] ?? 0) + 1;
    distribution.sum += value;
  }

  protected override initial(): Distribution {
    return { counts: [], sum: 0 };
  }

  protected override lines(labels: string, { counts, sum }: Distribution): string[] {
    const { name } = this.definition;
    const inner = labels === '' ? '' : `${labels.slice(1, -1)},`;
    let total = 0;
    const lines = [...this.#buckets, Number.POSITIVE_INFINITY].map((bound, index) => {
      total += counts[index] ?? 0;
      const le = bound === Number.POSITIVE_INFINITY ? '+Inf' : String(bound);
      return `${name}_bucket{${inner}le="${le}"} ${total}`;
    });
    return [...lines, `${name}_sum${labels} ${sum}`, `${name}_count${labels} ${total}`];
  }
}

/** `{a="b",c="d"}` in the order of the definition, escaped as the text format asks (version 0.0.4). */
function labelText<L extends string>(names: readonly L[], labels: Labels<L>): string {
  if (names.length === 0) return '';
  const pairs = names.map((name) => {
    const value = labels[name].slice(0, limits.labelLength);
    return `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
  });
  return `{${pairs.join(',')}}`;
}
