import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readCpio, S_IFDIR, S_IFMT } from '@enclaver/eif';
import { type EnclaveStatus, STATUS_PORT, StatusDecoder } from '@enclaver/wire';
import { MACHINE_ARCH } from '../../odyn/build/arch.ts';
import { bundle } from '../../odyn/build/bundle.ts';
import { loadedProgram } from '../../odyn/build/loader.ts';
import { CHECKOUT, findPinned } from '../../odyn/build/pinned.ts';
import { compiled } from '../harness/compiled.ts';
import { paths } from './paths.ts';

/** The root has to be a mount: the starter of apps makes its own private. */
const ENTER = [
  'mount --bind "$1" "$1" && mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev"',
  'ip link set lo up && exec chroot "$1" /odyn/node --disable-sigusr1 --max-semi-space-size=1 /odyn/odyn.js',
].join(' && ');

/** What init gives it (`odyn/init/main.c`). */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', MALLOC_ARENA_MAX: '1' };

/** A started one. */
export interface RunningOdyn {
  /** Of its namespaces, which end with it. */
  readonly holder: ChildProcess;
  readonly pid: number;
  /** From the start of its process. */
  readonly readyMs: number;
}

/** Ingress port of its app, which is the load program's server. */
export const APP_PORT = 22_700;

/**
 * odyn on this machine, without an enclave: the Node, the libraries and the starter of apps of ramdisk 0, and odyn's program with
 * its code cache, in namespaces of its own.
 */
export class NativeOdyn implements AsyncDisposable {
  readonly #folder: string;
  readonly #holders = new Set<ChildProcess>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async make(): Promise<NativeOdyn> {
    const odyn = new NativeOdyn(await mkdtemp(join(tmpdir(), 'enclaver-odyn-')));
    await odyn.#unpackRamdisk();
    await odyn.#writeProgram();
    await odyn.#writeImage();
    return odyn;
  }

  async #unpackRamdisk(): Promise<void> {
    const ramdisk = await open(join(CHECKOUT, 'dist/runtime', MACHINE_ARCH, 'ramdisk0.cpio'));
    for await (const { path, mode, data } of readCpio(ramdisk.createReadStream())) {
      const to = this.#inside(path.toString());
      if ((mode & S_IFMT) === S_IFDIR) await mkdir(to, { recursive: true });
      else await writeFile(to, data, { mode: mode & 0o777 });
    }
  }

  async #writeProgram(): Promise<void> {
    const scratch = this.#inside('scratch');
    await mkdir(scratch);
    const files = await bundle(join(import.meta.dirname, 'main.ts'));
    await rm(this.#inside('odyn/program'), { recursive: true });
    for (const [path, data] of await loadedProgram(files, await findPinned(MACHINE_ARCH), scratch)) {
      await mkdir(dirname(this.#inside(path)), { recursive: true });
      await writeFile(this.#inside(path), data);
    }
  }

  async #writeImage(): Promise<void> {
    const root = this.#inside(paths.root);
    for (const name of ['bin', 'etc/enclaver', 'dev', 'proc', 'tmp'])
      await mkdir(join(root, name), { recursive: true });
    await cp(compiled('relay/load.c', { isStatic: true }), join(root, 'bin/app'));
    await writeFile(
      join(root, 'etc/enclaver/enclaver.yaml'),
      `version: v1\nname: bench\ntarget: t:e\nsources: { app: t:1 }\ningress: [{ listen_port: ${APP_PORT} }]\n`,
    );
    const argv = ['/bin/app', 'server', '/tmp/unused', String(APP_PORT)];
    const launch = { version: 1, argv, env: [], user: '', workdir: '/', stopSignal: 'SIGTERM' };
    await writeFile(this.#inside(paths.launchDescription), JSON.stringify(launch));
  }

  #inside(path: string): string {
    return join(this.#folder, path);
  }

  /** Where clients of its app connect. */
  get appSocket(): string {
    return this.#socketOf(APP_PORT);
  }

  #socketOf(port: number): string {
    return this.#inside(`${paths.vsock}_${port}`);
  }

  /** Resolves when it is ready. */
  async start(): Promise<RunningOdyn> {
    for (const name of ['run', join(paths.root, 'tmp')]) {
      await rm(this.#inside(name), { recursive: true });
      await mkdir(this.#inside(name));
    }
    for (const name of ['app.stdout', 'app.stderr']) execFileSync('mkfifo', ['-m', '600', this.#inside(`run/${name}`)]);
    const begun = performance.now();
    const words = ['--mount', '--net', '--pid', '--fork', '--kill-child', 'sh', '-c', ENTER, 'sh', this.#folder];
    const holder = spawn('unshare', words, { stdio: ['ignore', 'ignore', 'inherit'], env: ENVIRONMENT });
    this.#holders.add(holder);
    await this.#ready(holder);
    const readyMs = performance.now() - begun;
    return { holder, pid: Number(readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8')), readyMs };
  }

  async #ready(holder: ChildProcess): Promise<void> {
    while (holder.exitCode === null) {
      const last = await lastStatus(this.#socketOf(STATUS_PORT));
      if (last?.status === 'running') return;
      if (last !== undefined) throw new Error(`odyn did not start its app: ${JSON.stringify(last)}`);
      await sleep(1);
    }
    throw new Error(`odyn ended with ${holder.exitCode} before it was ready`);
  }

  /** With its app. */
  async end(holder: ChildProcess): Promise<void> {
    this.#holders.delete(holder);
    holder.kill('SIGKILL');
    await once(holder, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const holder of this.#holders) await this.end(holder);
    await rm(this.#folder, { recursive: true });
  }
}

/** Of a status port: `ready`, or what came in its place; undefined where nothing listens yet. */
function lastStatus(path: string): Promise<EnclaveStatus | undefined> {
  return new Promise((resolve) => {
    const decoder = new StatusDecoder();
    const socket = connect(path);
    socket.on('data', (chunk) => {
      const last = decoder.push(chunk).find((status) => status.status !== 'running' || status.phase === 'ready');
      if (last === undefined) return;
      resolve(last);
      socket.destroy();
    });
    socket.on('error', () => resolve(undefined)).on('close', () => resolve(undefined));
  });
}
