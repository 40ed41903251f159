import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus, type EnclaveRecord } from '@enclaver/bus';
import { NatsProcess } from '../../libs/bus/test/nats-process.ts';
import { enclaveRecord } from '../../services/log-relay/test/records.ts';
import { enclaver } from '../../test/stack/enclaver.ts';

/** What an enclave says to write over other lines, forge one, hide text, and reach into the terminal. */
const EVIL = 'x\r\n2026-01-01T00:00:00Z e-0 exited: code 0\x1b]52;c;ZXZpbA==\x07\x1b[2A\x9b2J\u202e';
const SHOWN = 'x\\r\\n2026-01-01T00:00:00Z e-0 exited: code 0\\x1b]52;c;ZXZpbA==\\x07\\x1b[2A\\u{9b}2J\\u{202e}';
/** In messages of errors lines are lines; it stands in the middle of one. */
const EVIL_LINE = EVIL.replace('\n', '');
const SHOWN_LINE = SHOWN.replace('\\n', '');

describe('texts of an enclave', function () {
  this.timeout(60_000);
  let nats: NatsProcess;
  let bus: Bus;
  let folder: string;
  const sick: EnclaveRecord = {
    ...enclaveRecord(1, '/none', `web${EVIL}`),
    state: 'unhealthy',
    reason: EVIL,
    clock: EVIL,
  };
  const gone: EnclaveRecord = {
    ...enclaveRecord(2, '/none', 'gone'),
    state: 'exited',
    result: { kind: 'fatal', error: EVIL },
  };
  const born: EnclaveRecord = enclaveRecord(3, '/none', 'born');

  before(async () => {
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'supervisor', credentials: nats.as('supervisor') });
    await bus.serve('supervisor', '0.1.0', {
      ...({} as Parameters<typeof bus.serve<'supervisor'>>[2]),
      list: async () => ({ enclaves: [sick, gone] }),
      describe: async ({ id }) => ({ enclave: id === gone.id ? gone : sick }),
      run: async () => {
        const error = { code: 'KERNEL_PANIC', message: `panic: ${EVIL_LINE}`, remedy: `mend ${EVIL_LINE}` };
        await bus.publishEvent(born.id, 'failed', { result: { kind: 'failed', error }, console: [`oops ${EVIL}`] });
        await using relay = await Bus.connect({ source: 'log-relay', credentials: nats.as('log-relay') });
        await relay.publishEvent(born.id, 'log-ended', { lines: 0, lost: 0 });
        return { enclave: born };
      },
    });
    folder = await mkdtemp(join(tmpdir(), 'enclaver-texts-'));
    await writeFile(join(folder, 'bus.json'), JSON.stringify(nats.as('cli')), { mode: 0o600 });
    for (const enclave of [sick, gone]) await bus.enclaves.put(enclave);
    await bus.publishEvent(sick.id, 'unhealthy', { reason: EVIL });
    const result = { kind: 'exited', code: 1, cause: 'evil', detail: EVIL } as const;
    await bus.publishEvent(sick.id, 'exited', { result });
    bus.warnings.raise({ code: 'ENCLAVE_UNHEALTHY', message: EVIL, remedy: EVIL, severity: 'error' });
    await bus.warnings.written();
  });

  after(async () => {
    await bus.close();
    await nats[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  /** Lines that a command has written; none of them can do anything to a terminal. */
  async function linesOf(...args: string[]): Promise<string[]> {
    const { stdout, stderr } = await enclaver(args, { ENCLAVER_BUS: join(folder, 'bus.json') });
    const lines = `${stdout}${stderr}`.trimEnd().split('\n');
    for (const line of lines) assert.doesNotMatch(line, /[\p{Cc}\p{Cf}]/u);
    return lines;
  }

  const has = (lines: readonly string[], text: string): void =>
    assert.ok(
      lines.some((line) => line.includes(text)),
      `${text}\nis not in\n${lines.join('\n')}`,
    );

  it('are one line of a list', async () => {
    const lines = await linesOf('ps', '--all');
    assert.equal(lines.length, 3);
    has(lines, `web${SHOWN}  unhealthy: ${SHOWN}`);
    has(lines, `exited: ${SHOWN}`);
  });

  it('are one line of a description and of its history', async () => {
    const lines = await linesOf('describe', sick.id);
    for (const [field, value] of [
      ['name', `web${SHOWN}`],
      ['reason', SHOWN],
      ['clock', SHOWN],
    ]) {
      has(lines, `${field?.padEnd(8)}  ${value}`);
    }
    has(lines, `${sick.id} unhealthy: ${SHOWN}`);
    has(lines, `${sick.id} exited: code 1, evil: ${SHOWN}`);
    has(await linesOf('describe', gone.id), `the inside of the enclave gave up: ${SHOWN}`);
  });

  it('are shown escaped in warnings', async () => {
    const lines = await linesOf('status');
    has(lines, `error[ENCLAVE_UNHEALTHY]: ${SHOWN}`);
    has(lines, `help: ${SHOWN}`);
  });

  it('are shown escaped while it runs, and when it has failed', async () => {
    const eif = join(folder, 'any.eif');
    await writeFile(eif, '');
    const lines = await linesOf('run', eif);
    has(lines, `${born.id} failed: KERNEL_PANIC: panic: ${SHOWN_LINE}`);
    has(lines, `error[KERNEL_PANIC]: panic: ${SHOWN_LINE}`);
    has(lines, `  help: mend ${SHOWN_LINE}`);
    has(lines, `console: oops ${SHOWN}`);
  });
});
