import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { access, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Eif } from '@enclaver/eif';
import { type GuestAddress, transportTo } from '@enclaver/vsock';
import * as z from 'zod';
import { accelerator, hasVhostVsock, hostTscKhz } from './accelerator.ts';
import { type HostTraits, qemuArguments, vhostArguments } from './command-line.ts';
import { checkSocketPaths, type EnclaveFiles, enclaveFiles, writeBootFiles } from './files.ts';
import { type Heartbeat, listenForHeartbeat } from './heartbeat.ts';
import { limits } from './limits.ts';
import { LocalNsm, type LocalNsmOptions } from './local-nsm.ts';
import { MachineError } from './machine-error.ts';
import { type MachineProcess, Microvm, signal } from './microvm.ts';
import type { MicrovmRequest, RunningMicrovm } from './microvm-request.ts';
import { QmpClient } from './qmp-client.ts';

const QEMU = 'qemu-system-x86_64';
const VHOST = 'vhost-device-vsock';
const MIB = 1024 * 1024;
/** Lowest CID that is neither reserved nor the parent's on Nitro (linux/vm_sockets.h: 0 to 2). */
const FIRST_CID = 16;

/** What has been started so far. */
const machineSchema = z.object({ qemu: z.number().int().optional(), vhost: z.number().int().optional() });

type Pids = Partial<Record<keyof z.infer<typeof machineSchema>, number | undefined>>;

/** Runs images in `microvm`s of stock QEMU: where there is no Nitro, with and without hardware virtualisation. */
export class Microvms {
  readonly #dieWithUs: boolean;
  readonly #nsm: LocalNsmOptions;
  #sandbox: Promise<boolean> | undefined;

  /** `dieWithUs`: machines end with this process, however it ends. */
  constructor(options: { dieWithUs: boolean; nsm: LocalNsmOptions }) {
    this.#dieWithUs = options.dieWithUs;
    this.#nsm = options.nsm;
  }

  /** Throws `ARCH_UNSUPPORTED`, `MEMORY_TOO_SMALL`, `QEMU_MISSING`, `VHOST_DEVICE_VSOCK_MISSING`. */
  async check(eif: Eif, memoryMb: number): Promise<void> {
    if (eif.arch !== 'x86_64') {
      throw new MachineError('ARCH_UNSUPPORTED', `the image is for ${eif.arch}; this backend runs x86_64`);
    }
    const needMb = neededMemoryMb(eif);
    if (memoryMb < needMb) {
      throw new MachineError(
        'MEMORY_TOO_SMALL',
        `${memoryMb} MiB of memory are too few for this image, which needs ${needMb} MiB to unpack`,
        { remedy: `give it more: --memory-mb ${needMb + 256}, or defaults.memory_mb in the manifest` },
      );
    }
    need(QEMU, 'QEMU_MISSING');
    if (!hasVhostVsock()) need(VHOST, 'VHOST_DEVICE_VSOCK_MISSING');
    await this.#hasSandbox();
  }

  /** Where the guest will be found; `used` are the addresses of the others. Throws `RUN_DIR_TOO_LONG`. */
  place(folder: string, used: readonly GuestAddress[]): { vsock: GuestAddress; console: string } {
    checkSocketPaths(folder);
    const files = enclaveFiles(folder);
    if (!hasVhostVsock()) return { vsock: { type: 'unix', path: files.vsock }, console: files.console };
    const taken = new Set(used.map((address) => (address.type === 'vsock' ? address.cid : 0)));
    let cid = FIRST_CID;
    while (taken.has(cid)) cid += 1;
    return { vsock: { type: 'vsock', cid }, console: files.console };
  }

  /** Starts a machine. Throws `MACHINE_FAILED`. */
  async launch(request: MicrovmRequest): Promise<Microvm> {
    const files = enclaveFiles(request.folder);
    const traits: HostTraits = {
      accelerator: accelerator(),
      tscKhz: hostTscKhz(),
      sandbox: await this.#hasSandbox(),
    };
    await writeBootFiles(request.eif, files);
    // Left from a boot that is tried again, they would be taken for the new ones
    const vsock = request.vsock.type === 'unix' ? [request.vsock.path] : [];
    for (const stale of [files.vhost, ...vsock, files.qmp, files.console, files.nsm]) await rm(stale, { force: true });
    const vhost = request.vsock.type === 'unix' ? await this.#startVhost(files, request.vsock.path) : undefined;
    let nsm: LocalNsm | undefined;
    let heartbeat: Heartbeat | undefined;
    let qemu: ChildProcess | undefined;
    try {
      heartbeat = await listenForHeartbeat(transportTo(request.vsock));
      nsm = await this.#serveNsm({ ...request, measurements: request.eif.measurements }, files);
      qemu = await this.#start(need(QEMU, 'QEMU_MISSING'), qemuArguments(request, files, traits), files);
      // At once: it goes on without us, and whoever comes after us must know of it
      await writePids(files, { qemu: qemu.pid, vhost: vhost?.pid });
      const qmp = await connectQmp(qemu, files);
      const stand = vhost === undefined ? undefined : { pid: vhost.pid as number, child: vhost };
      return new Microvm({ pid: qemu.pid as number, child: qemu }, stand, { qmp, nsm, heartbeat });
    } catch (error) {
      qemu?.kill('SIGKILL');
      vhost?.kill('SIGKILL');
      await nsm?.close();
      await heartbeat?.close();
      throw error;
    }
  }

  /** Takes up a machine that another process started or was starting; undefined when it is gone, and then with all that belongs to it. */
  async adopt(running: RunningMicrovm): Promise<Microvm | undefined> {
    const { folder } = running;
    const files = enclaveFiles(folder);
    const pids = await readPids(files);
    const [qemu, vhost] = await Promise.all([pids.qemu, pids.vhost].map((pid) => processOf(pid, folder)));
    const qmp = qemu && (await QmpClient.connect(files.qmp, AbortSignal.timeout(limits.adoptMs)));
    if (qemu === undefined || qmp === undefined) {
      for (const left of [qemu, vhost]) if (left !== undefined) signal(left, 'SIGKILL');
      return undefined;
    }
    const nsm = await this.#serveNsm(running, files).catch((error: unknown) => {
      // The enclave runs on, and what needs the device fails; a supervisor that does not start would lose all of them
      this.#nsm.logger.error({ err: error, enclave: running.id }, 'its NSM simulator cannot go on');
      return undefined;
    });
    return new Microvm(qemu, vhost, { qmp, nsm });
  }

  #serveNsm(
    { vsock, measurements, debug }: Pick<RunningMicrovm, 'vsock' | 'measurements' | 'debug'>,
    { nsm }: EnclaveFiles,
  ): Promise<LocalNsm> {
    return LocalNsm.serve({ transport: transportTo(vsock), measurements, debug, stateFile: nsm }, this.#nsm);
  }

  async #startVhost(files: EnclaveFiles, udsPath: string): Promise<ChildProcess> {
    const child = await this.#start(need(VHOST, 'VHOST_DEVICE_VSOCK_MISSING'), vhostArguments(files, udsPath), files);
    await writePids(files, { vhost: child.pid });
    const until = performance.now() + limits.socketMs;
    while (performance.now() < until) {
      if (child.exitCode !== null || child.signalCode !== null) break;
      if (await exists(files.vhost)) return child;
      await sleep(limits.socketRetryMs);
    }
    child.kill('SIGKILL');
    throw await startError(VHOST, files);
  }

  /** Detached from our terminal and pipes: a Ctrl-C is for us to handle, and a machine may outlive us. */
  async #start(program: string, args: readonly string[], files: EnclaveFiles): Promise<ChildProcess> {
    const log = await open(files.log, 'a', 0o600);
    try {
      const [command, ...rest] = this.#dieWithUs
        ? [need('setpriv', 'QEMU_MISSING'), '--pdeathsig', 'KILL', program, ...args]
        : [program, ...args];
      const child = spawn(command as string, rest, { stdio: ['ignore', log.fd, log.fd], detached: true });
      await once(child, 'spawn');
      return child;
    } finally {
      await log.close();
    }
  }

  #hasSandbox(): Promise<boolean> {
    this.#sandbox ??= promisify(execFile)(need(QEMU, 'QEMU_MISSING'), ['-help'], { maxBuffer: MIB }).then(
      ({ stdout }) => stdout.includes('-sandbox on'),
    );
    return this.#sandbox;
  }
}

/**
 * Least memory in MiB: the ramdisks as they are loaded, and their files in a tmpfs that may take half of what is left
 * (measured with this kernel: less than 3 × ramdisks + 64 MiB ends in "Initramfs unpacking failed: write error").
 */
export function neededMemoryMb(eif: Pick<Eif, 'sections'>): number {
  const ramdisks = eif.sections.filter(({ type }) => type === 'ramdisk').reduce((sum, { size }) => sum + size, 0);
  return Math.ceil((3 * ramdisks) / MIB) + 64;
}

/** Full path of a program of this host. */
function need(program: string, code: 'QEMU_MISSING' | 'VHOST_DEVICE_VSOCK_MISSING'): string {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next folder may have it
    }
  }
  throw new MachineError(code, `${program} is not in the PATH`, {
    remedy: 'run scripts/setup, which installs what enclaves need on a machine without Nitro hardware',
  });
}

async function connectQmp(qemu: ChildProcess, files: EnclaveFiles): Promise<QmpClient> {
  const over = new AbortController();
  const abort = (): void => over.abort();
  qemu.once('exit', abort);
  const timer = setTimeout(abort, limits.socketMs);
  const qmp = await QmpClient.connect(files.qmp, over.signal);
  clearTimeout(timer);
  qemu.off('exit', abort);
  if (qmp !== undefined) return qmp;
  throw await startError(QEMU, files);
}

async function startError(program: string, files: EnclaveFiles): Promise<MachineError> {
  const said = (await readFile(files.log, 'utf8')).slice(-limits.logTailBytes).trim();
  return new MachineError('MACHINE_FAILED', `${program} did not start: ${said === '' ? 'it said nothing' : said}`);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Whole or not at all. */
async function writePids({ machine }: EnclaveFiles, pids: Pids): Promise<void> {
  await writeFile(`${machine}.new`, JSON.stringify(pids), { mode: 0o600 });
  await rename(`${machine}.new`, machine);
}

async function readPids({ machine }: EnclaveFiles): Promise<Pids> {
  return (await exists(machine)) ? machineSchema.parse(JSON.parse(await readFile(machine, 'utf8'))) : {};
}

/** Process ids are used again: it is our process only if its arguments name the enclave's folder. */
async function processOf(pid: number | undefined, folder: string): Promise<MachineProcess | undefined> {
  if (pid === undefined) return undefined;
  const cmdline = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return cmdline.includes(folder) ? { pid } : undefined;
}
