import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus, type EnclaveRecord, type RaisedWarning } from '@enclaver/bus';
import { accelerator } from '@enclaver/machine';
import { inSpan, Metrics, startTracing, stopTracing } from '@enclaver/telemetry';
import { pino } from 'pino';
import { NatsProcess } from '../../../libs/bus/test/nats-process.ts';
import { record as sample } from '../../../libs/bus/test/record.ts';
import { OtlpCollector } from '../../../test/observe/otlp-collector.ts';
import { EnclaveWatch } from '../src/watch/enclave-watch.ts';
import { storageWarnings } from '../src/watch/host-warnings.ts';

/** What starts after the watch does. */
const base = Date.now() + 3_600_000;
const at = (second: number): string => new Date(base + 1000 * second).toISOString();

function record(id: string, change: Partial<EnclaveRecord> = {}): EnclaveRecord {
  return { ...sample, id, name: 'shop', backend: 'nitro', times: { requested: at(0) }, ...change };
}

const ready = {
  state: 'ready',
  times: { requested: at(0), launching: at(1), booting: at(2), starting: at(3), ready: at(4) },
} as const;

describe('watch of the enclaves', () => {
  let nats: NatsProcess;
  let bus: Bus;
  let watch: EnclaveWatch;
  let metrics: Metrics;

  before(async () => {
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'supervisor', credentials: nats.credentials });
    await bus.enclaves.put(
      record('e-000000000001', {
        state: 'exited',
        times: { requested: '2026-01-01T00:00:00.000Z', exited: '2026-01-01T00:00:00.000Z' },
        result: { kind: 'exited', code: 0 },
      }),
    );
    metrics = new Metrics();
    watch = EnclaveWatch.start({ bus, metrics, logger: pino({ level: 'silent' }) });
    await untilSample('enclaver_enclaves{state="exited"} 1');
  });

  after(async () => {
    await watch.close();
    await bus.close();
    await nats[Symbol.asyncDispose]();
  });

  async function untilSample(line: string): Promise<void> {
    while (!metrics.expose().split('\n').includes(line)) await sleep(10);
  }

  async function untilWarnings(codes: readonly string[]): Promise<readonly RaisedWarning[]> {
    for (;;) {
      const { active } = bus.warnings;
      if (
        active
          .map(({ code }) => code)
          .sort()
          .join() === [...codes].sort().join()
      )
        return active;
      await sleep(10);
    }
  }

  it('counts starts, ends and the time until ready, and not what had ended before it came', async () => {
    const id = 'e-000000000002';
    await bus.enclaves.put(record(id));
    await untilSample('enclaver_enclave_up{enclave="shop"} 0');
    await bus.enclaves.put(record(id, { ...ready, figures: { ingressAccepted: 12, odynResidentBytes: 5 } }));
    await untilSample('enclaver_enclave_up{enclave="shop"} 1');
    await untilSample('enclaver_enclave_reported_ingress_accepted{enclave="shop"} 12');
    await bus.enclaves.put(
      record(id, {
        ...ready,
        state: 'lost',
        times: { ...ready.times, lost: at(5) },
        result: { kind: 'lost', error: { code: 'X', message: 'x' } },
      }),
    );
    await untilSample('enclaver_enclaves{state="lost"} 1');
    await bus.enclaves.put(record('e-000000000003', { previous: id, restarts: 1 }));
    await untilSample('enclaver_enclave_starts_total{enclave="shop",reason="restart"} 1');
    const lines = metrics.expose().split('\n');
    for (const line of [
      'enclaver_enclave_starts_total{enclave="shop",reason="run"} 1',
      'enclaver_enclave_ends_total{enclave="shop",kind="lost"} 1',
      'enclaver_enclave_ready_seconds_sum{backend="nitro"} 4',
      'enclaver_enclave_memory_bytes{enclave="shop"} 536870912',
    ]) {
      assert.ok(lines.includes(line), line);
    }
    assert.ok(!lines.some((line) => line.startsWith('enclaver_enclave_ends_total{enclave="shop",kind="exited"')));
    await bus.enclaves.remove('e-000000000003');
    await untilSample('enclaver_enclaves{state="requested"} 0');
  });

  it('warns of bad health, a clock that is off and machines that prove nothing, while it is so', async () => {
    const id = 'e-000000000004';
    const times = { ...ready.times, unhealthy: at(5) };
    await bus.enclaves.put(
      record(id, { state: 'unhealthy', times, reason: 'GET / said 500', clock: 'kvm-clock, 6 s behind the NSM' }),
    );
    const raised = await untilWarnings(['ENCLAVE_CLOCK', 'ENCLAVE_UNHEALTHY']);
    assert.match(raised.find(({ code }) => code === 'ENCLAVE_UNHEALTHY')?.message ?? '', /^shop .*said 500/);
    assert.deepEqual(
      raised.map(({ enclave }) => enclave),
      [id, id],
    );
    await bus.enclaves.put(record(id, { ...ready, clock: 'kvm-clock, 6 s behind the NSM, being led back' }));
    await untilWarnings([]);
    await bus.enclaves.put(record(id, { ...ready, backend: 'qemu' }));
    const info = await untilWarnings(['DEVELOPMENT_NSM', ...(accelerator() === 'tcg' ? ['SOFTWARE_EMULATION'] : [])]);
    assert.deepEqual(new Set(info.map(({ severity }) => severity)), new Set(['info']));
    await bus.enclaves.remove(id);
    await untilWarnings([]);
  });

  it('warns of stores that are nearly full', () => {
    const codes = (all: number, blobs: number): string[] =>
      storageWarnings({ all: { used: all, max: 100 }, blobs: { used: blobs, max: 100 } })
        .filter(({ isSo }) => isSo)
        .map(({ warning }) => warning.code);
    assert.deepEqual(codes(84, 84), []);
    assert.deepEqual(codes(85, 0), ['BUS_NEARLY_FULL']);
    assert.deepEqual(codes(0, 99), ['STORE_NEARLY_FULL']);
  });

  it('learns from the bus how full it is', async () => {
    const { all, blobs } = await bus.storageUse();
    assert.ok(all.used > 0 && all.used < all.max);
    assert.equal(blobs.used, 0);
    assert.equal(blobs.max, 64 * 1024 * 1024);
  });

  it('traces a start in its steps, under the request that asked for it', async () => {
    await using collector = await OtlpCollector.start();
    Object.assign(process.env, collector.env);
    const problems: string[] = [];
    await startTracing({ name: 'test', version: '1' }, (text) => problems.push(text));
    try {
      const id = 'e-000000000005';
      const asked = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`;
      await bus.enclaves.put(record(id, ready));
      await inSpan(asked, () => bus.publishEvent(id, 'ready', { ingress: [] }));
      const boot = await collector.span('start of enclave: boot');
      const start = await collector.span('start of enclave');
      assert.equal(boot.parentSpanId, start.spanId);
      assert.deepEqual([start.traceId, start.parentSpanId], ['1'.repeat(32), '2'.repeat(16)]);
      assert.equal(BigInt(start.endTimeUnixNano) - BigInt(start.startTimeUnixNano), 4_000_000_000n);
      assert.equal(collector.spans.length, 5);
      assert.deepEqual([problems, collector.refused], [[], []]);
    } finally {
      delete process.env.OTEL_EXPORTER_OTLP_ENDPOINT;
      await stopTracing();
    }
  });
});
