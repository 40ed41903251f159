import { readdirSync, readFileSync } from 'node:fs';
import { limits } from './limits.ts';
import type { Metrics } from './metrics.ts';

/** What every process says of itself, under the names that dashboards for Node know. */
export function addProcessMetrics(metrics: Metrics, build: { service: string; version: string }): void {
  const info = metrics.gauge({
    name: 'enclaver_build_info',
    help: 'Always 1; the labels say which service of which version runs on which Node.',
    labels: ['service', 'version', 'node'],
  });
  info.set({ ...build, node: process.versions.node }, 1);
  const start = metrics.gauge({
    name: 'process_start_time_seconds',
    help: 'Start of the process, seconds since 1970.',
  });
  start.set({}, Math.round((performance.timeOrigin / 1000) * 1000) / 1000);
  const cpu = metrics.counter({ name: 'process_cpu_seconds_total', help: 'Processor time of user and system.' });
  const rss = metrics.gauge({ name: 'process_resident_memory_bytes', help: 'Resident memory.' });
  const heapUsed = metrics.gauge({ name: 'nodejs_heap_size_used_bytes', help: "V8's heap, used." });
  const heapTotal = metrics.gauge({ name: 'nodejs_heap_size_total_bytes', help: "V8's heap, used and held." });
  const external = metrics.gauge({ name: 'nodejs_external_memory_bytes', help: "Buffers outside of V8's heap." });
  const fds = metrics.gauge({ name: 'process_open_fds', help: 'Open file descriptors.' });
  const maxFds = metrics.gauge({ name: 'process_max_fds', help: 'File descriptors that the process may open.' });
  const lag = metrics.gauge({
    name: 'nodejs_eventloop_lag_seconds',
    help: 'Longest time by which the event loop was late since the last scrape, looked at every second.',
  });
  const worst = watchLoop();
  metrics.onCollect(() => {
    const { user, system } = process.cpuUsage();
    cpu.set({}, (user + system) / 1e6);
    const memory = process.memoryUsage();
    rss.set({}, memory.rss);
    heapUsed.set({}, memory.heapUsed);
    heapTotal.set({}, memory.heapTotal);
    external.set({}, memory.external);
    // The folder's own descriptor is among them
    fds.set({}, readdirSync('/proc/self/fd').length - 1);
    maxFds.set({}, openFilesLimit());
    lag.set({}, worst() / 1000);
  });
}

/** Milliseconds by which a timer was late at worst since the last call. */
function watchLoop(): () => number {
  let worst = 0;
  let due = performance.now() + limits.loopLagEveryMs;
  const late = (): number => Math.max(0, performance.now() - due);
  setInterval(() => {
    worst = Math.max(worst, late());
    due = performance.now() + limits.loopLagEveryMs;
  }, limits.loopLagEveryMs).unref();
  return () => {
    const found = Math.max(worst, late());
    worst = 0;
    return found;
  };
}

function openFilesLimit(): number {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
  return Number(soft ?? 0);
}
