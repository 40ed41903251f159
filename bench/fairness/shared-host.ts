import { setTimeout as sleep } from 'node:timers/promises';
import { readMetrics } from '../../test/observe/read-metrics.ts';
import { EndlessClients } from './endless-clients.ts';

const DOWNLOADS = 4;
const NEVER_READ = 64;
const CONNECTIONS = 10_000;
const SETTLE_MS = 3_000;
const SAMPLE_MS = 6_000;

/** Enclaves of one image (test/e2e/hostile) on one host, the last of which turns hostile when it is asked to. */
export interface SharedHost {
  /** Where clients find them. */
  readonly ports: readonly number[];
  readonly lastName: string;
  /** Unix socket of a service's metrics. */
  readonly metricsOf: (service: 'outer-proxy' | 'log-relay') => string;
}

export interface Sample {
  /** MB/s that the others download, together. */
  readonly others: number;
  /** MB/s of the last one's log on the bus. */
  readonly log: number;
  /** Egress connections of the last one: open, and refused in a second. */
  readonly open: number;
  readonly refused: number;
}

/** What the others have beside one like them, and beside a hostile one. `target`: HOST:PORT that sends without end. */
export async function measure(host: SharedHost, target: string): Promise<{ equal: Sample; beside: Sample }> {
  const lastPort = host.ports.at(-1) as number;
  const tell = async (path: string): Promise<void> => {
    await (await fetch(`http://127.0.0.1:${lastPort}${path}`)).text();
  };
  const others = host.ports.slice(0, -1).map((port) => new EndlessClients(port, DOWNLOADS, true));
  try {
    const last = new EndlessClients(lastPort, DOWNLOADS, true);
    const equal = await sample(host, others);
    last[Symbol.dispose]();
    await tell(`/hostile?to=${target}&count=${CONNECTIONS}`);
    const neverRead = new EndlessClients(lastPort, NEVER_READ, false);
    const beside = await sample(host, others);
    neverRead[Symbol.dispose]();
    await tell('/calm');
    return { equal, beside };
  } finally {
    for (const each of others) each[Symbol.dispose]();
  }
}

async function sample(host: SharedHost, others: readonly EndlessClients[]): Promise<Sample> {
  await sleep(SETTLE_MS);
  const before = await counts(host, others);
  await sleep(SAMPLE_MS);
  const after = await counts(host, others);
  const perSecond = (name: 'others' | 'log' | 'refused'): number =>
    (after[name] - before[name]) / ((after.at - before.at) / 1000);
  return {
    others: perSecond('others') / 1e6,
    log: perSecond('log') / 1e6,
    open: after.open,
    refused: perSecond('refused'),
  };
}

async function counts({ lastName, metricsOf }: SharedHost, others: readonly EndlessClients[]) {
  const [proxy, relay] = [await readMetrics(metricsOf('outer-proxy')), await readMetrics(metricsOf('log-relay'))];
  const ofLast = (metrics: Map<string, number>, name: string, labels: string): number =>
    metrics.get(`enclaver_${name}{enclave="${lastName}",${labels}}`) ?? 0;
  return {
    at: performance.now(),
    others: others.reduce((sum, { bytes }) => sum + bytes, 0),
    log: ofLast(relay, 'log_bytes_total', 'stream="stdout"'),
    open: ofLast(proxy, 'proxy_connections', 'direction="egress"'),
    refused: ofLast(proxy, 'proxy_refused_total', 'direction="egress",reason="limit"'),
  };
}
