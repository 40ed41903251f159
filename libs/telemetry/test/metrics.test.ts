import assert from 'node:assert/strict';
import { addProcessMetrics, Metrics, telemetryLimits } from '../src/index.ts';

describe('metrics', () => {
  it('exposes counters, gauges and histograms in the text format', () => {
    const metrics = new Metrics();
    const bytes = metrics.counter({ name: 'x_bytes_total', help: 'Bytes.', labels: ['enclave', 'direction'] });
    const open = metrics.gauge({ name: 'x_open', help: 'Open now.' });
    const boot = metrics.histogram({ name: 'x_seconds', help: 'Times.', buckets: [0.5, 1, 2], labels: ['kind'] });
    bytes.add({ enclave: 'a', direction: 'in' }, 5);
    bytes.add({ enclave: 'a', direction: 'in' }, 2);
    open.set({}, 3);
    for (const seconds of [0.5, 0.75, 7]) boot.observe({ kind: 'k' }, seconds);
    assert.equal(
      metrics.expose(),
      [
        '# HELP x_bytes_total Bytes.',
        '# TYPE x_bytes_total counter',
        'x_bytes_total{enclave="a",direction="in"} 7',
        '# HELP x_open Open now.',
        '# TYPE x_open gauge',
        'x_open 3',
        '# HELP x_seconds Times.',
        '# TYPE x_seconds histogram',
        'x_seconds_bucket{kind="k",le="0.5"} 1',
        'x_seconds_bucket{kind="k",le="1"} 2',
        'x_seconds_bucket{kind="k",le="2"} 2',
        'x_seconds_bucket{kind="k",le="+Inf"} 3',
        'x_seconds_sum{kind="k"} 8.25',
        'x_seconds_count{kind="k"} 3',
        '',
      ].join('\n'),
    );
  });

  it('starts what has no labels at zero, histograms too', () => {
    const metrics = new Metrics();
    metrics.counter({ name: 'x_total', help: 'X.' });
    metrics.histogram({ name: 'x_seconds', help: 'X.', buckets: [1] });
    const text = metrics.expose();
    assert.match(text, /^x_total 0$/m);
    assert.match(text, /^x_seconds_bucket\{le="\+Inf"\} 0$/m);
  });

  it('escapes what a label or help text could break out with, and cuts long values', () => {
    const metrics = new Metrics();
    const counter = metrics.counter({ name: 'x_total', help: 'a\\b\nc', labels: ['name'] });
    counter.add({ name: 'a"} 1\nevil_total 2\\' });
    counter.add({ name: 'n'.repeat(10_000) });
    const lines = metrics.expose().trimEnd().split('\n');
    assert.deepEqual(lines.slice(0, 3), [
      '# HELP x_total a\\\\b\\nc',
      '# TYPE x_total counter',
      'x_total{name="a\\"} 1\\nevil_total 2\\\\"} 1',
    ]);
    assert.equal(lines[3], `x_total{name="${'n'.repeat(telemetryLimits.labelLength)}"} 1`);
  });

  it('keeps a bounded number of series: the one that rests longest goes', () => {
    const metrics = new Metrics();
    const counter = metrics.counter({ name: 'x_total', help: 'X.', labels: ['name'] });
    for (let n = 0; n < telemetryLimits.seriesPerMetric; n += 1) counter.add({ name: `n${n}` });
    counter.add({ name: 'n0' });
    counter.add({ name: 'one more' });
    const names = [...metrics.expose().matchAll(/name="([^"]+)"/g)].map(([, name]) => name);
    assert.equal(names.length, telemetryLimits.seriesPerMetric);
    assert.ok(names.includes('n0') && names.includes('one more'));
    assert.ok(!names.includes('n1'));
  });

  it('refuses a name twice', () => {
    const metrics = new Metrics();
    metrics.counter({ name: 'x_total', help: 'X.' });
    assert.throws(() => metrics.gauge({ name: 'x_total', help: 'X.' }), /already/);
  });

  it('tells of the process: memory, descriptors, build', () => {
    const metrics = new Metrics();
    addProcessMetrics(metrics, { service: 'test', version: '1.2.3' });
    const text = metrics.expose();
    const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
    assert.ok(value('process_resident_memory_bytes') > 10_000_000);
    assert.ok(value('process_open_fds') > 2);
    assert.ok(value('process_max_fds') >= value('process_open_fds'));
    assert.ok(Math.abs(value('process_start_time_seconds') - Date.now() / 1000) < 3600);
    assert.match(text, /^enclaver_build_info\{service="test",version="1\.2\.3",node="[^"]+"\} 1$/m);
  });
});
