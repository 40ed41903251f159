import assert from 'node:assert/strict';
import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Bus, type EnclaveRecord, type LogStreamName } from '@enclaver/bus';
import { publishLines } from '../../libs/bus/test/log-lines.ts';
import { NatsProcess } from '../../libs/bus/test/nats-process.ts';
import { enclaveRecord } from '../../services/log-relay/test/records.ts';

/** The command against a real bus; the supervisor's one answer that it asks for is the test's. */
describe('enclaver logs', function () {
  // Up to six commands in a test, each a process of its own on a busy machine
  this.timeout(60_000);
  let nats: NatsProcess;
  let bus: Bus;
  let folder: string;
  const first: EnclaveRecord = {
    ...enclaveRecord(1, '/none', 'web'),
    state: 'exited',
    times: { requested: '2026-01-01T00:00:00.000Z' },
  };
  const second: EnclaveRecord = {
    ...enclaveRecord(2, '/none', 'web'),
    state: 'ready',
    previous: first.id,
    restarts: 1,
    times: { requested: '2026-01-01T00:01:00.000Z' },
  };
  const old: EnclaveRecord = {
    ...enclaveRecord(4, '/none', 'api'),
    state: 'ready',
    times: { requested: '2026-01-01' },
  };
  const young: EnclaveRecord = {
    ...enclaveRecord(5, '/none', 'api'),
    replaces: old.id,
    times: { requested: '2026-01-02' },
  };
  const many: EnclaveRecord = { ...enclaveRecord(6, '/none', 'many'), state: 'ready' };
  const third: EnclaveRecord = { ...enclaveRecord(3, '/none', 'web'), previous: second.id, restarts: 2 };

  before(async () => {
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'supervisor', credentials: nats.as('supervisor') });
    await bus.serve('supervisor', '0.1.0', {
      ...({} as Parameters<typeof bus.serve<'supervisor'>>[2]),
      describe: async ({ id }) => ({
        enclave: [first, old, many].find((each) => each.id === id || each.name === id) ?? second,
      }),
    });
    folder = await mkdtemp(join(tmpdir(), 'enclaver-logs-'));
    await writeFile(join(folder, 'bus.json'), JSON.stringify(nats.as('cli')), { mode: 0o600 });
    await bus.enclaves.put(first);
    await bus.enclaves.put(second);
    await publish(first, 'stdout', 0, ['one', 'two']);
    await publish(first, 'stderr', 2, ['oops']);
    await publish(second, 'odyn', 0, ['{"level":"warn","msg":"careful"}']);
    await publish(second, 'stdout', 1, ['three']);
    await publish(second, 'stdout', 6, [Buffer.from([0xff, 0x00])], 4);
  });

  after(async () => {
    await bus.close();
    await nats[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  it('shows all enclaves of a name, stdout as the app wrote it, and what is lost', async () => {
    const { stdout, stderr, code } = await logs('web');
    assert.deepEqual(stdout, Buffer.concat([Buffer.from('one\ntwo\nthree\n'), Buffer.from([0xff, 0x00, 0x0a])]));
    assert.equal(stderr, 'oops\n[4 log lines lost]\n');
    assert.equal(code, 0);
    assert.equal(`${(await logs(first.id)).stdout}`, 'one\ntwo\n');
  });

  it('shows the last lines over all of them, and single streams', async () => {
    const tail = await logs('web', '--tail', '4');
    assert.equal(`${tail.stdout.subarray(0, 10)}`, 'two\nthree\n');
    assert.equal(tail.stderr, 'oops\n[4 log lines lost]\n');
    assert.equal(`${(await logs('web', '--tail', '1', '--stream', 'stderr')).stderr}`, 'oops\n');
    const odyn = 'odyn: {"level":"warn","msg":"careful"}\n[4 log lines lost]\n';
    assert.equal((await logs('web', '--stream', 'odyn')).stderr, odyn);
    assert.equal(`${(await logs('web', '--since', '2999-01-01')).stdout}`, '');
    assert.notEqual(`${(await logs('web', '--since', '1h30m')).stdout}`, '');
    assert.equal(`${(await logs('web', '--since', '1h30m', '--tail', '2')).stdout.subarray(0, 6)}`, 'three\n');
  });

  it('gives programs a line of JSON for each line, with what is known of it', async () => {
    const { stdout } = await logs('web', '-o', 'json', '-d');
    const entries = `${stdout}`.trimEnd().split('\n');
    assert.deepEqual(
      entries
        .map((line) => JSON.parse(line))
        .map(({ sequence, stream, level, text, lost }) => [stream, sequence, level, text ?? lost]),
      [
        ['stdout', 0, undefined, 'one'],
        ['stdout', 1, undefined, 'two'],
        ['stderr', 2, undefined, 'oops'],
        ['odyn', 0, 'warn', '{"level":"warn","msg":"careful"}'],
        ['stdout', 1, undefined, 'three'],
        ['lost', undefined, 'warn', 4],
        ['stdout', 6, undefined, '/wA='],
      ],
    );
    const last = JSON.parse(entries.at(-1) ?? '');
    assert.deepEqual([last.enclave, last.name, last.encoding], [second.id, 'web', 'base64']);
  });

  it('follows to the enclave that a restart brings, and ends with the last', async () => {
    const command = start('web', '-f', '--tail', '1');
    const output = buffer(command.stdout);
    await once(command.stdout, 'readable');
    await publish(second, 'stdout', 7, ['last of the second']);
    const restart = { id: third.id, afterMs: 100, restarts: 2, streak: 1 };
    await bus.publishEvent(second.id, 'exited', { result: { kind: 'exited', code: 1 }, restart });
    await relay((log) => log.publishEvent(second.id, 'log-ended', { lines: 1, lost: 0 }));
    await bus.enclaves.put(third);
    await bus.publishEvent(third.id, 'requested', { enclave: third });
    await publish(third, 'stdout', 0, ['first of the third']);
    await relay((log) => log.publishEvent(third.id, 'log-ended', { lines: 1, lost: 0 }));
    await bus.publishEvent(third.id, 'exited', { result: { kind: 'exited', code: 0 } });
    if (command.exitCode === null) await once(command, 'exit');
    assert.equal(command.exitCode, 0);
    assert.equal(`${(await output).subarray(3)}`, 'last of the second\nfirst of the third\n');
  });

  it('shows both enclaves of an update while the old one still serves, and ends with the new one', async () => {
    await bus.enclaves.put(old);
    await publish(old, 'stdout', 0, ['old']);
    const command = start('api', '-f', '-o', 'json');
    const lines = createInterface({ input: command.stdout })[Symbol.asyncIterator]();
    const line = async (): Promise<string[]> => {
      const { enclave, text } = JSON.parse((await lines.next()).value ?? '');
      return [enclave, text];
    };
    assert.deepEqual(await line(), [old.id, 'old']);
    await bus.enclaves.put(young);
    await publish(young, 'stdout', 0, ['new']);
    // The two watches of the command are not to be seen from here; the event is told until it has heard it
    const heard = line();
    await using proxy = await Bus.connect({ source: 'outer-proxy', credentials: nats.as('outer-proxy') });
    const handover = { from: old.id, to: young.id, ingress: [] };
    for (let isHeard = false; !isHeard; ) {
      await proxy.publishEvent(young.id, 'handed-over', handover);
      isHeard = await Promise.race([heard.then(() => true), sleep(100, false)]);
    }
    assert.deepEqual(await heard, [young.id, 'new']);
    await publish(old, 'stdout', 1, ['old, of an open connection']);
    assert.deepEqual(await line(), [old.id, 'old, of an open connection']);
    for (const { id } of [old, young]) {
      await bus.publishEvent(id, 'exited', { result: { kind: 'exited', code: 0 } });
      await relay((log) => log.publishEvent(id, 'log-ended', { lines: 1, lost: 0 }));
    }
    if (command.exitCode === null) await once(command, 'exit');
    assert.equal(command.exitCode, 0);
  });

  it('ends without a word when nobody reads any more, on stdout or on stderr', async () => {
    await bus.enclaves.put(many);
    const lines = Array.from({ length: 2_000 }, (_, index) => `${index} ${'x'.repeat(400)}`);
    await publish(many, 'stdout', 0, lines);
    await publish(many, 'stderr', lines.length, lines);
    for (const pipe of ['2> "$0" | head -1', '2>&1 >"$0.out" | head -1']) {
      const stderr = join(folder, 'stderr');
      const script = `"$1" "$2" logs many ${pipe}; echo "\${PIPESTATUS[0]}"; cat "$0"`;
      await writeFile(stderr, '');
      const main = join(import.meta.dirname, '../src/main.ts');
      const { stdout } = await promisify(execFile)('bash', ['-c', script, stderr, process.execPath, main], {
        env: { ...process.env, ENCLAVER_BUS: join(folder, 'bus.json') },
      });
      assert.equal(stdout, `${lines[0]}\n141\n`);
    }
  });

  it('ends well when somebody who follows has seen enough', async () => {
    await bus.enclaves.put(many);
    await publish(many, 'odyn', 10_000, ['{"level":"info","msg":"ready"}']);
    const command = start('many', '-f', '--tail', '1', '--stream', 'odyn');
    await once(command.stderr, 'readable');
    command.kill('SIGINT');
    if (command.exitCode === null) await once(command, 'exit');
    assert.equal(command.exitCode, 0);
  });

  it('says what is allowed', async () => {
    for (const [option, value, expected] of [
      ['--since', 'yesterday', /90s, 10m/],
      ['--tail', '-1', /0 to 1000000/],
      ['--stream', 'stdout,syslog', /stdout, stderr, odyn, console/],
    ] as const) {
      const { code, stderr } = await logs('web', `${option}=${value}`);
      assert.equal(code, 2);
      assert.match(stderr, expected);
    }
  });

  async function relay(work: (log: Bus) => Promise<unknown>): Promise<void> {
    await using log = await Bus.connect({ source: 'log-relay', credentials: nats.as('log-relay') });
    await work(log);
  }

  async function publish(
    { id, name }: EnclaveRecord,
    stream: Exclude<LogStreamName, 'lost'>,
    from: number,
    texts: (string | Buffer)[],
    lost?: number,
  ): Promise<void> {
    const lines = texts.map((text, index) => ({
      sequence: from + index,
      time: '2026-01-01T00:00:00.000Z',
      ...(typeof text === 'string' ? { text } : { text: text.toString('base64'), encoding: 'base64' as const }),
    }));
    await relay((log) => publishLines(log, id, stream, lines, { name, ...(lost === undefined ? {} : { lost }) }));
  }

  function start(...args: string[]): ChildProcessByStdio<null, Readable, Readable> {
    return spawn(process.execPath, [join(import.meta.dirname, '../src/main.ts'), 'logs', ...args], {
      env: { ...process.env, ENCLAVER_BUS: join(folder, 'bus.json') },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  async function logs(...args: string[]): Promise<{ stdout: Buffer; stderr: string; code: number | null }> {
    const command = start(...args);
    const [stdout, stderr] = await Promise.all([buffer(command.stdout), buffer(command.stderr)]);
    if (command.exitCode === null) await once(command, 'exit');
    return { stdout, stderr: `${stderr}`, code: command.exitCode };
  }
});
