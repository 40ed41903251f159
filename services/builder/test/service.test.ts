import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BuildProgress, Bus, BusError, type EnclaveRecord } from '@enclaver/bus';
import { NatsProcess } from '../../../libs/bus/test/nats-process.ts';
import { record } from '../../../libs/bus/test/record.ts';
import type { TarEntry } from '../../../test/images/tar.ts';
import { OtlpCollector } from '../../../test/observe/otlp-collector.ts';
import { readMetrics } from '../../../test/observe/read-metrics.ts';
import { BuilderError } from '../src/builder-error.ts';
import { throttle } from '../src/throttle.ts';
import { WorkQueue } from '../src/work-queue.ts';
import { Bench, manifest } from './support.ts';

const main = new URL('../src/main.ts', import.meta.url).pathname;

describe('builder service', () => {
  let nats: NatsProcess;
  let bench: Bench;
  let bus: Bus;
  let collector: OtlpCollector;
  let builder: ChildProcess;

  before(async () => {
    nats = await NatsProcess.start();
    bench = await Bench.create();
    collector = await OtlpCollector.start();
    await writeFile(bench.file('bus.json'), JSON.stringify(nats.credentials));
    bus = await Bus.connect({ source: 'test', credentials: nats.credentials });
    builder = spawn(process.execPath, [main], {
      stdio: ['ignore', 'inherit', 'ignore'],
      env: {
        PATH: process.env.PATH,
        ENCLAVER_BUS: bench.file('bus.json'),
        ENCLAVER_HTTP: `unix:${bench.file('http.sock')}`,
        ...collector.env,
        ENCLAVER_DATA_DIR: bench.dataDir,
        ENCLAVER_RUNTIME: bench.file('runtime'),
        DOCKER_HOST: `unix://${bench.file('no.sock')}`,
      },
    });
    while (!(await bus.services()).includes('builder')) assert.equal(builder.exitCode, null);
  });

  after(async () => {
    if (builder.exitCode === null) {
      builder.kill('SIGKILL');
      await once(builder, 'exit');
    }
    await bus.close();
    await collector[Symbol.asyncDispose]();
    await nats[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  function build(buildId: string, text = manifest()) {
    return bus.request('builder', 'build', {
      buildId,
      manifest: text,
      manifestFile: 'my.yaml',
      contextDir: bench.path,
      eifOnly: bench.file(`${buildId}.eif`),
    });
  }

  it('builds, and tells its progress in order', async () => {
    await bench.writeImage([{ name: 'app', content: 'x'.repeat(3 << 20) }]);
    const seen: BuildProgress[] = [];
    const stop = await bus.onBuildProgress('one', (progress) => seen.push(progress));
    const result = await build('one');
    stop();
    assert.equal((await stat(bench.file('one.eif'))).size, result.eif.size);
    assert.deepEqual([...new Set(seen.map(({ stage }) => stage))], ['resolve', 'flatten', 'assemble']);
    const flattened = seen.filter(({ stage }) => stage === 'flatten').at(-1);
    assert.ok(flattened?.total !== undefined && flattened.done === flattened.total);
  });

  it('answers an error with its code, place and remedy', async () => {
    const check = (code: string, text: RegExp) => (error: unknown) => {
      assert.ok(error instanceof BusError);
      assert.equal(error.code, code);
      assert.match(error.message, text);
      assert.ok(error.remedy);
      return true;
    };
    await assert.rejects(build('two', 'version: v2'), check('MANIFEST_INVALID', /my\.yaml:1:10/));
    await assert.rejects(build('three', manifest('oci:./none')), check('IMAGE_NOT_FOUND', /none/));
    await assert.rejects(
      bus.request('builder', 'extract', { image: '127.0.0.1:1/a:1' }),
      check('PULL_FAILED', /a:1.*no Docker/),
    );
  });

  it('drops old images, but none that an enclave runs from or is started again from', async () => {
    const folder = join(bench.dataDir, 'eif');
    await mkdir(folder, { recursive: true });
    const day = 24 * 3_600_000;
    const age = {
      ...{ 'running.eif': 30, 'restarting.eif': 30, 'ended.eif': 30 },
      ...{ 'unknown.eif': 8, '.new.left.part': 8, 'young.eif': 6 },
    };
    for (const [name, days] of Object.entries(age)) {
      await writeFile(join(folder, name), name);
      const time = new Date(Date.now() - days * day);
      await utimes(join(folder, name), time, time);
    }
    const next = { id: 'e-00000000000a', afterMs: 1_000, restarts: 1, streak: 1 };
    const enclaves: Partial<EnclaveRecord>[] = [
      { id: 'e-000000000001', state: 'ready', eif: join(folder, 'running.eif') },
      { id: 'e-000000000002', state: 'exited', next, eif: '/seen/elsewhere/restarting.eif' },
      { id: 'e-000000000003', state: 'exited', eif: join(folder, 'ended.eif') },
    ];
    for (const enclave of enclaves) await bus.enclaves.put({ ...record, ...enclave });
    // Whether that one is found changes nothing
    const extract = () => bus.request('builder', 'extract', { image: '127.0.0.1:1/a:1' });
    await assert.rejects(extract());
    assert.deepEqual((await readdir(folder)).sort(), ['restarting.eif', 'running.eif', 'young.eif']);
    await bus.enclaves.put({ ...record, id: 'e-000000000001', state: 'exited', eif: join(folder, 'running.eif') });
    await assert.rejects(extract());
    assert.deepEqual((await readdir(folder)).sort(), ['restarting.eif', 'young.eif']);
    await rm(folder, { recursive: true });
  });

  it('counts what it did by how it ended', async () => {
    const metrics = await readMetrics(bench.file('http.sock'));
    assert.equal(metrics.get('enclaver_builder_operations_total{operation="build",code="OK"}'), 1);
    assert.equal(metrics.get('enclaver_builder_operations_total{operation="build",code="MANIFEST_INVALID"}'), 1);
    assert.equal(metrics.get('enclaver_builder_operations_total{operation="extract",code="PULL_FAILED"}'), 3);
    assert.equal(metrics.get('enclaver_builder_operation_seconds_count{operation="build"}'), 3);
    assert.equal(metrics.get('enclaver_builder_running'), 0);
  });

  it('traces requests and the stages of a build', async () => {
    const assemble = await collector.span('build: assemble');
    const above = (id: string | undefined) => collector.spans.find(({ spanId }) => spanId === id);
    const build = above(assemble.parentSpanId);
    const request = above(build?.parentSpanId);
    assert.deepEqual([build?.name, request?.name, request?.kind], ['build', 'builder.build', 2]);
    assert.equal(assemble.service, 'enclaver-builder');
    assert.ok(BigInt(assemble.endTimeUnixNano) > BigInt(assemble.startTimeUnixNano));
    const failed = (await collector.span('extract')).status;
    assert.equal(failed.code, 2);
    assert.match(failed.message ?? '', /a:1/);
    assert.deepEqual(collector.refused, []);
  });

  it('on SIGTERM finishes the build that runs, leaves no work behind, and exits with 0', async () => {
    const files = Array.from({ length: 20_000 }, (_, n): TarEntry => ({ name: `d/f${n}`, content: 'some bytes' }));
    await bench.writeImage(files);
    const begun = Promise.withResolvers<void>();
    const stop = await bus.onBuildProgress('last', ({ stage }) => stage === 'flatten' && begun.resolve());
    const building = build('last');
    await begun.promise;
    builder.kill('SIGTERM');
    const [result, [code]] = await Promise.all([building, once(builder, 'exit')]);
    stop();
    assert.equal(code, 0);
    assert.equal((await stat(bench.file('last.eif'))).size, result.eif.size);
    assert.deepEqual(
      (await bench.leavings()).filter((name) => name.startsWith('data')),
      [],
    );
  });

  it('refuses a configuration that is none, naming the variable, with status 2', async () => {
    const child = spawn(process.execPath, [main], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env.PATH, ENCLAVER_BUS: bench.file('bus.json'), ENCLAVER_DATA_DIR: 'relative' },
    });
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    const [code] = await once(child, 'close');
    assert.equal(code, 2);
    assert.match(text, /ENCLAVER_DATA_DIR/);
  });
});

describe('work queue', () => {
  it('runs so many at once, lets so many wait, refuses the next, and finishes what runs when closed', async () => {
    const queue = new WorkQueue({ running: 1, waiting: 1 });
    const gate = Promise.withResolvers<string>();
    const first = queue.run(() => gate.promise);
    const second = queue.run(async () => 'second');
    const busy = (error: unknown): boolean => error instanceof BuilderError && error.code === 'BUILDER_BUSY';
    await assert.rejects(
      queue.run(async () => 'third'),
      busy,
    );
    const closed = queue.close();
    await assert.rejects(second, busy);
    gate.resolve('first');
    assert.equal(await first, 'first');
    await closed;
  });

  it('lets a task go that is aborted before its turn', async () => {
    const queue = new WorkQueue({ running: 1, waiting: 1 });
    const gate = Promise.withResolvers<string>();
    const first = queue.run(() => gate.promise);
    const gone = new AbortController();
    const second = queue.run(async () => 'second', gone.signal);
    gone.abort(new Error('no longer wanted'));
    await assert.rejects(second, /no longer wanted/);
    const third = queue.run(async () => 'third');
    gate.resolve('first');
    assert.deepEqual(await Promise.all([first, third]), ['first', 'third']);
  });

  it('goes on after a task that fails', async () => {
    const queue = new WorkQueue({ running: 1, waiting: 4 });
    const failing = queue.run(() => sleep(1).then(() => Promise.reject(new Error('no'))));
    const next = queue.run(async () => 'next');
    await assert.rejects(failing, /no/);
    assert.equal(await next, 'next');
  });
});

describe('progress', () => {
  it('passes stages and their ends at once, and little of what lies between', () => {
    const sent: BuildProgress[] = [];
    let clock = 0;
    const progress = throttle(
      (update) => sent.push(update),
      100,
      () => clock,
    );
    progress({ stage: 'resolve', text: 'a' });
    for (let done = 0; done <= 1000; done += 1) {
      clock += 1;
      progress({ stage: 'flatten', done, total: 1000 });
    }
    for (let done = 1; done <= 50; done += 1) progress({ stage: 'assemble', done });
    progress({ stage: 'package', text: 'b' });
    const flatten = sent.filter(({ stage }) => stage === 'flatten');
    assert.ok(flatten.length >= 10 && flatten.length <= 13, String(flatten.length));
    assert.equal(flatten.at(-1)?.done, 1000);
    assert.deepEqual(
      sent.filter(({ stage }) => stage === 'assemble').map(({ done }) => done),
      [1, 50],
    );
    assert.equal(sent.at(-1)?.stage, 'package');
  });
});
