import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseConnectLine, unixTransport } from '@enclaver/vsock';
import {
  EGRESS_PORT,
  type EgressReply,
  type EgressRequest,
  EgressRequestDecoder,
  type EnclaveStatus,
  encodeControl,
  encodeEgress,
  encodeLogHello,
  LOG_PORT,
  LogDecoder,
  type LogRecord,
  STATUS_PORT,
  StatusDecoder,
} from '@enclaver/wire';
import { C_PROGRAMS, C_SOURCES } from '../build/compile-c.ts';
import { Odyn, type OdynOptions } from '../src/odyn.ts';
import { compileForTest } from './compile-for-test.ts';

export const run = promisify(execFile);

/** A TCP port that nobody has right now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

/** What the parent does with one egress request: a reply, and where the bytes go after it. */
export type EgressAnswer = { readonly reply: EgressReply; readonly to?: number };

/** The parent's side of the vsock, as vhost-device-vsock would show it: Unix sockets in a folder of its own. */
export class FakeParent {
  readonly path: string;
  readonly requests: EgressRequest[] = [];
  /** Bytes that came after each request, as far as no server took them. */
  readonly stray: Buffer[] = [];
  /** What else is served, by vsock port: the connection, paused, and nothing of it read. */
  readonly services = new Map<number, (socket: Socket) => void>();
  answer: (request: EgressRequest) => EgressAnswer = () => ({ reply: { Err: { os_code: 111, message: 'no' } } });
  readonly #folder: string;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
    this.path = join(folder, 'vsock');
  }

  static async make(): Promise<FakeParent> {
    return FakeParent.at(await mkdtemp(join(tmpdir(), 'odyn-test-')));
  }

  /** `folder` is there, and is removed by `close`. */
  static at(folder: string): FakeParent {
    return new FakeParent(folder);
  }

  get folder(): string {
    return this.#folder;
  }

  get transport() {
    return unixTransport({ path: this.path });
  }

  async listen(): Promise<void> {
    this.#server = createServer((socket) => this.#accept(socket));
    await new Promise<void>((resolve) => this.#server?.listen(this.path, resolve));
  }

  async close(): Promise<void> {
    await this.#stopEnclave();
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => (this.#server ? this.#server.close(() => resolve()) : resolve()));
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** A connection to one of the enclave's ports, made as soon as it listens. */
  async dial(port: number): Promise<Socket> {
    for (let left = 200; ; left--) {
      const socket = connect(`${this.path}_${port}`);
      try {
        await new Promise<void>((resolve, reject) => {
          socket.once('connect', resolve);
          socket.once('error', reject);
        });
        this.#sockets.add(socket);
        socket.on('error', () => socket.destroy());
        return socket;
      } catch (error) {
        if (left === 0) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  /** After a test that failed an app may still run, and would for ever. */
  async #stopEnclave(): Promise<void> {
    const socket = connect(`${this.path}_${STATUS_PORT}`);
    const over = new Promise((resolve) => socket.once('close', resolve));
    // No enclave is the usual case
    socket.on('error', () => socket.destroy());
    socket.on('connect', () => socket.write(encodeControl({ command: 'stop', graceMs: 0 })));
    const decoder = new StatusDecoder();
    socket.on('data', (chunk: Buffer) => {
      if (decoder.push(chunk).at(-1)?.status !== 'running') socket.destroy();
    });
    await over;
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let line = Buffer.alloc(0);
    const decoder = new EgressRequestDecoder();
    const onData = (chunk: Buffer): void => {
      line = Buffer.concat([line, chunk]);
      const end = line.indexOf(0x0a);
      if (end < 0) return;
      const port = parseConnectLine(line.toString('latin1', 0, end + 1));
      const service = port === undefined ? undefined : this.services.get(port);
      if (port !== EGRESS_PORT && service === undefined) {
        socket.destroy();
        return;
      }
      socket.write('OK 1024\n');
      socket.off('data', onData);
      if (service !== undefined) {
        socket.pause();
        if (line.length > end + 1) socket.unshift(line.subarray(end + 1));
        service(socket);
        return;
      }
      socket.on('data', onRequest);
      if (line.length > end + 1) onRequest(line.subarray(end + 1));
    };
    const onRequest = (chunk: Buffer): void => {
      const decoded = decoder.push(chunk);
      if (decoded === undefined) return;
      socket.off('data', onRequest);
      this.requests.push(decoded.message);
      const { reply, to } = this.answer(decoded.message);
      socket.write(encodeEgress(reply));
      if (to === undefined) {
        if (decoded.rest.length > 0) this.stray.push(decoded.rest);
        socket.on('data', (bytes: Buffer) => this.stray.push(bytes));
        return;
      }
      const out = connect({ port: to, host: '127.0.0.1', noDelay: true });
      this.#sockets.add(out);
      out.once('close', () => this.#sockets.delete(out));
      out.on('error', () => socket.destroy());
      out.write(decoded.rest);
      socket.pipe(out).pipe(socket);
    };
    socket.on('data', onData);
  }
}

/** Reads the status port; `until` settles with the first status that fits, `all` holds every one seen. */
export class StatusReader {
  readonly all: EnclaveStatus[] = [];
  readonly socket: Socket;
  readonly #changed = new Set<() => void>();

  private constructor(socket: Socket, keep: boolean) {
    this.socket = socket;
    const decoder = new StatusDecoder();
    socket.on('data', (chunk: Buffer) => {
      this.all.push(...decoder.push(chunk));
      for (const listener of this.#changed) listener();
      if (!keep && this.all.at(-1)?.status !== 'running') socket.destroy();
    });
  }

  static async open(parent: FakeParent, { keep = false } = {}): Promise<StatusReader> {
    return new StatusReader(await parent.dial(STATUS_PORT), keep);
  }

  async until(fits: (status: EnclaveStatus) => boolean): Promise<EnclaveStatus> {
    for (;;) {
      const found = this.all.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        const listener = (): void => {
          this.#changed.delete(listener);
          resolve();
        };
        this.#changed.add(listener);
      });
    }
  }

  final(): Promise<EnclaveStatus> {
    return this.until(({ status }) => status !== 'running');
  }

  phase(phase: string): Promise<EnclaveStatus> {
    return this.until((status) => status.status === 'running' && status.phase === phase);
  }
}

/** Reads the log to its end. */
export async function readLog(parent: Pick<FakeParent, 'dial'>, from = 0n): Promise<LogRecord[]> {
  const socket = await parent.dial(LOG_PORT);
  const records: LogRecord[] = [];
  const decoder = new LogDecoder();
  socket.write(encodeLogHello(from));
  await new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      records.push(...decoder.push(chunk));
      if (records.at(-1)?.stream === 'end') socket.destroy();
    });
    socket.on('close', resolve);
    socket.on('error', reject);
  });
  return records;
}

/** Lines of one stream, long ones joined again. */
export function linesOf(records: readonly LogRecord[], stream: LogRecord['stream']): string[] {
  const lines: string[] = [];
  let open = false;
  for (const record of records.filter((one) => one.stream === stream)) {
    const text = record.payload.toString('utf8');
    if (open) lines.push(`${lines.pop()}${text}`);
    else lines.push(text);
    open = record.continues;
  }
  return lines;
}

const compiled = new Map<keyof typeof C_PROGRAMS, Promise<string>>();

/** A real program of the enclave, compiled once per test run. */
function binary(name: keyof typeof C_PROGRAMS): Promise<string> {
  const made = compiled.get(name) ?? compile(name);
  compiled.set(name, made);
  return made;
}

async function compile(name: keyof typeof C_PROGRAMS): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `odyn-${name}-`));
  process.once('exit', () => rmSyncQuietly(folder));
  await compileForTest(C_SOURCES, C_PROGRAMS[name], join(folder, name));
  return join(folder, name);
}

const launchBinary = (): Promise<string> => binary('launch');
export const redirectBinary = (): Promise<string> => binary('redirect');

function rmSyncQuietly(folder: string): void {
  process.getBuiltinModule('node:fs').rmSync(folder, { recursive: true, force: true });
}

export interface AppSpec {
  readonly argv: readonly string[];
  readonly manifest?: string;
  readonly env?: readonly string[];
  readonly user?: string;
  readonly workdir?: string;
  readonly stopSignal?: string;
  /** Instead of a valid launch description. */
  readonly launchText?: string;
  readonly files?: Readonly<Record<string, string | Buffer>>;
}

const MANIFEST = 'version: v1\nname: test\ntarget: test:enclave\nsources:\n  app: test:latest\n';

/** The programs that apps in these tests are made of; it is static, so it runs in any root. */
const BUSYBOX = '/usr/bin/busybox';
const APPLETS = [
  'sh',
  'cat',
  'env',
  'id',
  'pwd',
  'seq',
  'sleep',
  'head',
  'httpd',
  'nc',
  'yes',
  'kill',
  'dd',
  'tr',
  'tail',
];

/** A whole odyn around an app, whose root holds a shell and little else. */
export async function startOdyn(
  parent: FakeParent,
  spec: AppSpec,
  { lastWordMs = 3_000, ...parts }: { lastWordMs?: number } & Pick<OdynOptions, 'nsm' | 'nsmOrigin' | 'system'> = {},
): Promise<{ finished: Promise<void>; root: string }> {
  const root = join(parent.folder, 'rootfs');
  await mkdir(join(root, 'etc/enclaver'), { recursive: true });
  await writeFile(join(root, 'etc/enclaver/enclaver.yaml'), MANIFEST + (spec.manifest ?? ''));
  await mkdir(join(root, 'bin'));
  await copyFile(BUSYBOX, join(root, 'bin/busybox'));
  for (const name of APPLETS) await symlink('busybox', join(root, 'bin', name));
  for (const name of ['dev', 'proc', 'tmp']) await mkdir(join(root, name));
  for (const [path, text] of Object.entries(spec.files ?? {})) {
    await mkdir(join(root, path, '..'), { recursive: true });
    await writeFile(join(root, path), text, { mode: 0o755 });
  }
  const description = {
    version: 1,
    argv: spec.argv,
    env: spec.env ?? [],
    user: spec.user ?? '',
    workdir: spec.workdir ?? '/',
    stopSignal: spec.stopSignal ?? 'SIGTERM',
  };
  const launchDescription = join(parent.folder, 'launch.json');
  await writeFile(launchDescription, spec.launchText ?? JSON.stringify(description));
  for (const name of ['app.stdout', 'app.stderr']) await run('mkfifo', ['-m', '600', join(parent.folder, name)]);
  const odyn = new Odyn({
    transport: parent.transport,
    boot: { initMs: 1, odynMs: 2 },
    root,
    launchDescription,
    launchPath: await launchBinary(),
    // Only transparent egress starts it, which changes the routes of a machine
    redirectPath: '/odyn/redirect',
    outputDirectory: parent.folder,
    lastWordMs,
    ...parts,
  });
  return { finished: odyn.run(), root };
}
