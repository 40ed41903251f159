import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type Server } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus, type LogStreamName } from '@enclaver/bus';
import { Metrics } from '@enclaver/telemetry';
import { pino } from 'pino';
import { publishLines } from '../../../libs/bus/test/log-lines.ts';
import { NatsProcess } from '../../../libs/bus/test/nats-process.ts';
import { LogMetrics } from '../src/log-metrics.ts';
import { LogSinks } from '../src/sinks/log-sinks.ts';
import { parseSinks } from '../src/sinks/sink-spec.ts';
import { parseLogsRequest } from './otlp-schema.ts';

const logger = pino({ level: 'silent' });
const time = '2026-01-01T00:00:00.000123Z';
const id = 'e-000000000001';

describe('sinks of the log-relay', () => {
  let nats: NatsProcess;
  let bus: Bus;
  let folder: string;
  let next = 0;
  const open = new Set<LogSinks>();
  const children: ChildProcess[] = [];

  before(async () => {
    nats = await NatsProcess.start();
    await using _ = await Bus.connect({ source: 'supervisor', credentials: nats.as('supervisor') });
    bus = await Bus.connect({ source: 'log-relay', credentials: nats.as('log-relay') });
  });

  after(async () => {
    await bus.close();
    await nats[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'enclaver-sinks-'));
    next = 0;
  });

  afterEach(async () => {
    for (const sinks of open) await sinks.close();
    open.clear();
    for (const child of children.splice(0)) {
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    await rm(folder, { recursive: true });
  });

  async function start(text: string, metrics = new LogMetrics(new Metrics())): Promise<LogSinks> {
    const sinks = await LogSinks.start(bus, parseSinks(text), logger, metrics);
    open.add(sinks);
    return sinks;
  }

  async function stop(sinks: LogSinks): Promise<void> {
    open.delete(sinks);
    await sinks.close();
  }

  /** Publishes lines with the numbers that are next, and wakes the sinks. */
  async function publish(
    texts: readonly (string | Buffer)[],
    stream: Exclude<LogStreamName, 'lost'> = 'stdout',
  ): Promise<number> {
    const lines = texts.map((text, index) => ({
      sequence: next + index,
      time,
      ...(typeof text === 'string' ? { text } : { text: text.toString('base64'), encoding: 'base64' as const }),
    }));
    next += texts.length;
    const position = await publishLines(bus, id, stream, lines, { name: 'web' });
    const { batch } = await bus.logStore.last(id, stream === 'console' ? 'console' : 'records');
    assert.ok(batch !== undefined);
    for (const sinks of open) sinks.published(batch, 0);
    return position;
  }

  async function until<T>(look: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
    for (;;) {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      await sleep(20);
    }
  }

  const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8').catch(() => '');

  it('files rotate, and others may move or cut them', async () => {
    const sinks = await start(`file:${folder}?format=text&size=64K&count=2`);
    await publish(['first']);
    await until(async () => (await read('web.log')) === `${time} web stdout| first\n`);
    await rename(join(folder, 'web.log'), join(folder, 'moved'));
    sinks.reopen();
    await publish([Buffer.from([0xff])], 'stderr');
    await until(async () =>
      (await readFile(join(folder, 'web.log')).catch(() => Buffer.of())).includes(Buffer.from([0xff, 0x0a])),
    );
    assert.equal(await read('moved'), `${time} web stdout| first\n`);
    await truncate(join(folder, 'web.log'));
    await publish(['after the cut']);
    await until(async () => (await read('web.log')) === `${time} web stdout| after the cut\n`);
    for (let index = 0; index < 6; index += 1) await publish(['x'.repeat(40_000)]);
    await publish(['end']);
    await until(async () => (await read('web.log')).endsWith(' end\n'));
    assert.deepEqual((await readdir(folder)).sort(), ['moved', 'web.log', 'web.log.1', 'web.log.2', 'web.log.place']);
  });

  it('a file goes on where an earlier log-relay stopped, and tells what the bus has dropped meanwhile', async () => {
    const sinks = await start(`file:${folder}`);
    await publish(['one']);
    await until(async () => (await read('web.log')) !== '');
    await stop(sinks);
    const dropped = await publish(['two', 'three']);
    await publish(['four']);
    await bus.logStore.drop(dropped);
    await start(`file:${folder}`);
    await until(async () => (await read('web.log')).includes('four'));
    const entries = (await read('web.log')).trimEnd().split('\n');
    assert.deepEqual(
      entries.map((line) => JSON.parse(line)).map(({ text, lost }) => text ?? lost),
      ['one', 2, 'four'],
    );
  });

  it('one that takes nothing holds no other one up, is told of, and gets its lines later', async () => {
    const sockets: Socket[] = [];
    // Never reads, as a server that hangs
    const stuck = createServer((socket) => void sockets.push(socket.pause())).listen(0, '127.0.0.1');
    await once(stuck, 'listening');
    const { port } = stuck.address() as AddressInfo;
    await start(`otlp:http://127.0.0.1:${port}/v1/logs file:${folder}`);
    for (let index = 0; index < 50; index += 1) await publish([`line ${index}`]);
    await until(async () => (await read('web.log')).includes('line 49'));
    assert.equal(sockets.length, 1);
    stuck.close();
    for (const socket of sockets) socket.destroy();
    const warning = await until(async () => (await bus.warnings.active).find(({ code }) => code === 'LOG_SINK_FAILED'));
    assert.match(warning.message, /log sink otlp: http:/);
    const collector = await Collector.start(port);
    await until(() => collector.texts.length >= 50);
    assert.deepEqual(
      collector.texts,
      Array.from({ length: 50 }, (_, index) => `line ${index}`),
    );
    await until(() => bus.warnings.active.length === 0);
    await collector.close();
  });

  it('one that another log-relay has taken over is given nothing more, and nothing is said of it', async () => {
    const text = `otlp:http://127.0.0.1:${await freePort()}/v1/logs`;
    const metrics = new Metrics();
    const sinks = await start(text, new LogMetrics(metrics));
    metrics.onCollect(() => sinks.collect(0));
    await publish(['for the other one']);
    await until(() => bus.warnings.active.some(({ code }) => code === 'LOG_SINK_FAILED'));
    assert.match(metrics.expose(), /^enclaver_log_sink_up\{sink="otlp"\} 0$/m);
    const [{ key = '' } = {}] = parseSinks(text);
    await using other = await Bus.connect({ source: 'other', credentials: nats.credentials });
    // Soon: for the other one the first is silent far too long
    const lease = await other.lease(`log-sink.${key}`, { leaseMs: 300, onLost: assert.fail });
    await until(() => bus.warnings.active.length === 0);
    assert.doesNotMatch(metrics.expose(), /^enclaver_log_sink_(up|behind_messages)\{/m);
    await lease.release();
  });

  it('a sink, and who follows, go on where they were when the bus was away', async () => {
    await start(`file:${folder}`);
    await using reader = await Bus.connect({ source: 'cli', credentials: nats.as('cli') });
    const watch = reader.logs({ id, follow: true, tail: 0 });
    const followed: string[] = [];
    await watch.ready;
    const following = (async () => {
      for await (const { lines } of watch) followed.push(...lines.map(({ text }) => text));
    })();
    await publish(['before']);
    await until(async () => followed.length === 1 && (await read('web.log')).includes('before'));
    await nats.crash();
    const meanwhile = publish(['meanwhile']);
    await sleep(500);
    await nats.restart();
    await meanwhile;
    await publish(['after']);
    await until(async () => followed.length === 3 && (await read('web.log')).includes('after'));
    await watch.close();
    await following;
    const entries = (await read('web.log')).trimEnd().split('\n');
    assert.deepEqual(followed, ['before', 'meanwhile', 'after']);
    assert.deepEqual(
      entries.map((line) => JSON.parse(line).text),
      followed,
    );
  });

  it('OpenTelemetry: each record has its enclave, level and time; busy is tried again, refused is given up', async () => {
    const collector = await Collector.start(0);
    collector.answers.push(503, 400);
    await start(`otlp:http://127.0.0.1:${collector.port}/v1/logs`);
    await publish(['refused']);
    await until(() => collector.answers.length === 0);
    await publish(['{"level":"error","msg":"x"}'], 'odyn');
    await publish([Buffer.from([0xff, 0x00])], 'stderr');
    await until(() => collector.requests.flatMap(({ records }) => records).length >= 2);
    const [first, second] = collector.requests.flatMap(({ resource, records }) =>
      records.map((each) => ({ resource, ...each })),
    );
    assert.deepEqual(first?.resource, { 'service.name': 'web', 'service.instance.id': id });
    assert.deepEqual(
      [first?.severityNumber, first?.timeUnixNano, first?.attributes['enclaver.sequence']],
      [17, '1767225600000123000', '1'],
    );
    assert.deepEqual(second?.body, { bytesValue: '/wA=' });
    assert.equal(second?.attributes['log.iostream'], 'stderr');
    await collector.close();
  });

  it('rsyslogd gets all of it over /dev/log, UDP and TCP', async () => {
    const port = await freePort();
    const socket = join(folder, 'log.sock');
    await writeFile(
      join(folder, 'rsyslog.conf'),
      `global(workDirectory="${folder}" maxMessageSize="64k")
       module(load="imuxsock" SysSock.Use="off")
       input(type="imuxsock" Socket="${socket}" useSpecialParser="off" parseHostname="on" RateLimit.Interval="0")
       module(load="imudp") input(type="imudp" address="127.0.0.1" port="${port}")
       module(load="imtcp") input(type="imtcp" address="127.0.0.1" port="${port}")
       template(name="all" type="string" string="%inputname% %pri% %app-name% %procid% %msgid% %structured-data% %msg:::json%\\n")
       action(type="omfile" file="${folder}/out" template="all")`,
    );
    children.push(
      spawn('rsyslogd', ['-n', '-f', join(folder, 'rsyslog.conf'), '-i', join(folder, 'pid')], { stdio: 'inherit' }),
    );
    await until(() => existsSync(socket));
    await start(`syslog:${socket} syslog://127.0.0.1:${port} syslog+tcp://127.0.0.1:${port}`);
    await publish(['{"level":"warn","msg":"x"}'], 'odyn');
    await publish(['y'.repeat(16 * 1024)]);
    const lines = await until(async () => {
      // rsyslogd writes 4 KiB at a time: a line is there when it has its end
      const all = (await read('out')).split('\n').slice(0, -1);
      return all.length === 6 && all;
    });
    for (const input of ['imuxsock', 'imudp', 'imtcp']) {
      const [odyn, long] = lines.filter((line) => line.startsWith(input));
      assert.equal(
        odyn,
        `${input} 12 web ${id} odyn [enclaver@32473 id="${id}" name="web" stream="odyn" sequence="0"] {\\"level\\":\\"warn\\",\\"msg\\":\\"x\\"}`,
      );
      assert.ok(long?.endsWith(` ${'y'.repeat(16 * 1024)}`), long?.slice(0, 200));
    }
  });

  it('systemd-journald gets fields to look for, and bytes as they are', async () => {
    await mkdir(join(folder, 'socket'));
    await mkdir(join(folder, 'journal'));
    // A journald of its own, in a mount namespace where /run is empty
    const script = `mount --make-rprivate / && mount -t tmpfs none /run && mkdir -p /run/systemd/journal /run/log/journal &&
      mount --bind ${folder}/socket /run/systemd/journal && mount --bind ${folder}/journal /run/log/journal &&
      mount -t tmpfs none /var/log && exec /usr/lib/systemd/systemd-journald`;
    children.push(spawn('unshare', ['--mount', 'sh', '-c', script], { stdio: 'ignore' }));
    const socket = join(folder, 'socket/socket');
    await until(() => existsSync(socket));
    await start(`journald:${socket}`);
    await publish(['{"level":"error","msg":"x"}'], 'odyn');
    await publish([Buffer.from('two\nlines\u0000')]);
    const journal = (): string =>
      execFileSync('journalctl', ['-D', join(folder, 'journal'), '-o', 'json', '--no-pager', `ENCLAVER_ID=${id}`], {
        encoding: 'utf8',
      });
    const text = await until(() => {
      const all = journal();
      return all.trimEnd().split('\n').length === 2 && all;
    });
    const [odyn, stdout] = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      [odyn.MESSAGE, odyn.PRIORITY, odyn.ENCLAVER_NAME, odyn.ENCLAVER_STREAM, odyn.SYSLOG_IDENTIFIER],
      ['{"level":"error","msg":"x"}', '3', 'web', 'odyn', 'web'],
    );
    assert.deepEqual([Buffer.from(stdout.MESSAGE).toString(), stdout.PRIORITY], ['two\nlines\u0000', '6']);
  });

  it('are named by one variable, and what is wrong in it is told', () => {
    assert.deepEqual(
      parseSinks(
        'stdout:text  file:/a?size=1G file:/b?count=9&format=text syslog://[::1] journald: otlp:https://c.example/v1/logs',
      ).map(({ label, target }) => [label, target]),
      [
        ['stdout', { kind: 'stdout', format: 'text' }],
        ['file', { kind: 'file', folder: '/a', format: 'json', bytes: 1024 ** 3, count: 5 }],
        ['file-2', { kind: 'file', folder: '/b', format: 'text', bytes: 64 * 1024 ** 2, count: 9 }],
        ['syslog', { kind: 'syslog', transport: 'udp', host: '::1', port: 514 }],
        ['journald', { kind: 'journald', path: '/run/systemd/journal/socket' }],
        ['otlp', { kind: 'otlp', url: 'https://c.example/v1/logs' }],
      ],
    );
    for (const [text, expected] of [
      ['stdout', /"stdout" is no sink; allowed are stdout:text/],
      ['file:/', /is no sink/],
      ['file:/a?sise=1M', /is no sink/],
      ['file:/a?size=1', /size is at least 65536/],
      ['file:/a?count=0', /count is 1 to 1000/],
      ['file:/a file:/a?format=text', /is there twice/],
      ['otlp:http://user:secret@host/', /OTEL_EXPORTER_OTLP_HEADERS/],
      ['kafka://x', /is no sink/],
    ] as const) {
      assert.throws(() => parseSinks(text), expected, text);
    }
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

/** An emulator of an OpenTelemetry collector's HTTP receiver: takes what the schema of OTLP/JSON allows, and answers as it is told. */
class Collector {
  readonly requests: ReturnType<typeof parseLogsRequest> = [];
  /** Statuses of the next answers; 200 after them. */
  readonly answers: number[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createHttpServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const status = this.answers.shift() ?? 200;
      assert.deepEqual(
        [request.method, request.url, request.headers['content-type']],
        ['POST', '/v1/logs', 'application/json'],
      );
      const parsed = parseLogsRequest(Buffer.concat(chunks).toString('utf8'));
      if (status === 200) this.requests.push(...parsed);
      response.writeHead(status, { 'content-type': 'application/json' }).end('{"partialSuccess":{}}');
    });
  }

  static async start(port: number): Promise<Collector> {
    const collector = new Collector();
    collector.#server.listen(port, '127.0.0.1');
    await once(collector.#server, 'listening');
    return collector;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get texts(): unknown[] {
    return this.requests.flatMap(({ records }) =>
      records.map(({ body }) => ('stringValue' in body ? body.stringValue : body)),
    );
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
