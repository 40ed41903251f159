import { Counter, Gauge, Histogram, type MetricDefinition, type MetricType } from './metric.ts';

interface AnyMetric {
  readonly type: MetricType;
  readonly definition: MetricDefinition;
  expose(): string;
}

/**
 * All metrics of a process, in Prometheus' text format. Each is defined once, at the start: the documentation lists the
 * definitions.
 */
export class Metrics {
  readonly #metrics = new Map<string, AnyMetric>();
  readonly #collectors: (() => void)[] = [];

  counter<L extends string = never>(definition: MetricDefinition<L>): Counter<L> {
    return this.#add(new Counter(definition));
  }

  gauge<L extends string = never>(definition: MetricDefinition<L>): Gauge<L> {
    return this.#add(new Gauge(definition));
  }

  histogram<L extends string = never>(definition: MetricDefinition<L> & { buckets: readonly number[] }): Histogram<L> {
    return this.#add(new Histogram(definition));
  }

  /** Called before each exposition: for what is read when somebody asks, and not counted all the time. */
  onCollect(collect: () => void): void {
    this.#collectors.push(collect);
  }

  expose(): string {
    for (const collect of this.#collectors) collect();
    return [...this.#metrics.values()].map((metric) => metric.expose()).join('');
  }

  definitions(): (MetricDefinition & { type: MetricType })[] {
    return [...this.#metrics.values()].map(({ type, definition }) => ({ type, ...definition }));
  }

  #add<M extends AnyMetric>(metric: M): M {
    const { name } = metric.definition;
    if (this.#metrics.has(name)) throw new TypeError(`there is a metric ${name} already`);
    this.#metrics.set(name, metric);
    return metric;
  }
}
