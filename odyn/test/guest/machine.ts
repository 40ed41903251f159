import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EMULATED_CPU } from '../../../libs/machine/src/command-line.ts';

/** CID of the guest in its own vhost-device-vsock; two machines never share one, so any number does. */
const GUEST_CID = 16;
/** Where the guest reaches the host through vhost-device-vsock. */
const HOST_CID = 2;
/** Boot takes 4 to 8 s under emulation; a busy machine gets ten times that before a test gives up. */
const PATIENCE_MS = 80_000;

export interface MachineOptions {
  kernel: string;
  cmdline: string;
  /** Files, laid one after the other as the initrd. */
  ramdisk: string;
  memoryMb?: number;
  /** Answer the boot heartbeat; false hears it and says nothing. Default true. */
  heartbeat?: boolean;
  /** As on Nitro: no ACPI, and the only vsock device is at `NITRO_LIKE_DEVICE`, of which the caller's command line tells. */
  withoutAcpi?: boolean;
}

/** What Nitro says of its first device, but for the address, which is QEMU's. */
export const NITRO_LIKE_DEVICE = 'virtio_mmio.device=4K@0xfeb00000:5';

/** A machine of QEMU and what it boots. */
export interface Board {
  /** Default: the installed QEMU. */
  program?: string;
  /** Default: all that QEMU can emulate. */
  cpu?: string;
  memoryMb: number;
  heartbeat?: boolean;
  /** The machine with its vsock on the character device `c`, and its kernel, whose command line ends in `words`. */
  arguments(words: string): string[];
}

/** A guest in QEMU, with its vsock on Unix sockets in a folder of its own. */
export class Machine {
  readonly #folder: string;
  readonly #qemu: ChildProcess;
  readonly #vhost: ChildProcess;
  readonly #servers: { close(): void }[];
  readonly heartbeats: number[];
  readonly startedMs: number;
  #console = '';
  #events = '';
  #changed: () => void = () => undefined;

  private constructor(folder: string, vhost: ChildProcess, qemu: ChildProcess, qmp: Socket, heart: Heart) {
    this.#folder = folder;
    this.#vhost = vhost;
    this.#qemu = qemu;
    this.#servers = [heart];
    this.heartbeats = heart.seen;
    this.startedMs = performance.now();
    qemu.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#console += text;
      this.#changed();
    });
    qemu.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#console += text;
      this.#changed();
    });
    qemu.on('exit', () => this.#changed());
    qmp.setEncoding('utf8').on('data', (text: string) => {
      this.#events += text;
      this.#changed();
    });
    // QEMU closes this connection by ending
    qmp.on('error', () => this.#changed());
    qmp.write('{"execute":"qmp_capabilities"}\n{"execute":"cont"}\n');
  }

  static start(options: MachineOptions): Promise<Machine> {
    const { kernel, cmdline, ramdisk, memoryMb = 512, heartbeat = true, withoutAcpi = false } = options;
    const acpi = withoutAcpi ? 'acpi=off,auto-kernel-cmdline=off,' : '';
    return Machine.boot({
      cpu: EMULATED_CPU,
      memoryMb,
      heartbeat,
      arguments: (words) => [
        ...['-M', `microvm,${acpi}memory-backend=mem0,isa-serial=on,rtc=on`],
        ...['-object', `memory-backend-memfd,id=mem0,size=${memoryMb}M,share=on`],
        ...['-kernel', kernel, '-initrd', ramdisk, '-append', `${cmdline} ${words}`],
        ...['-device', `vhost-user-vsock-device,chardev=c${withoutAcpi ? ',bus=virtio-mmio-bus.0' : ''}`],
      ],
    });
  }

  static async boot(board: Board): Promise<Machine> {
    const folder = await mkdtemp(join(tmpdir(), 'enclave-test-'));
    const at = (name: string) => join(folder, name);
    const vsock = `guest-cid=${GUEST_CID},socket=${at('vhost')},uds-path=${at('vsock')},tx-buffer-size=32768`;
    const vhost = spawn('vhost-device-vsock', ['--vm', vsock], { stdio: 'ignore' });
    const heart = new Heart(at(`vsock_9000`), board.heartbeat ?? true);
    await exists(at('vhost'));
    const words = `enclaver.parent_cid=${HOST_CID} tsc_early_khz=${await tscKhz()}`;
    const qemu = spawn(
      board.program ?? 'qemu-system-x86_64',
      [
        ['-chardev', `socket,id=c,path=${at('vhost')}`, ...board.arguments(words)],
        // A kick that the device drops must not be the last (libs/machine, command-line.ts); of boards that bring it, too
        ['-global', 'vhost-user-vsock-device.event_idx=off'],
        ['-accel', 'tcg,thread=multi', '-cpu', board.cpu ?? 'max', '-smp', '2', '-m', `${board.memoryMb}M`],
        ['-nodefaults', '-no-user-config', '-display', 'none', '-serial', 'stdio', '-monitor', 'none'],
        // Stopped until we listen to its events
        ['-qmp', `unix:${at('qmp')},server=on,wait=off`, '-no-reboot', '-S'],
      ].flat(),
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    await exists(at('qmp'));
    const qmp = connect(at('qmp'));
    await once(qmp, 'connect');
    return new Machine(folder, vhost, qemu, qmp, heart);
  }

  get console(): string {
    return this.#console;
  }

  /** Milliseconds from the start of the processors until the console has shown `pattern`. */
  async sees(pattern: RegExp, patienceMs = PATIENCE_MS): Promise<RegExpExecArray> {
    return this.#until(() => pattern.exec(this.#console), `console line ${pattern}`, patienceMs);
  }

  /** Why QEMU ended: the reason of its SHUTDOWN event. */
  async ended(patienceMs = PATIENCE_MS): Promise<string> {
    const event = await this.#until(
      () => /"event": "SHUTDOWN", "data": \{[^}]*"reason": "([a-z-]+)"/.exec(this.#events),
      'end of the machine',
      patienceMs,
    );
    if (this.#qemu.exitCode === null && this.#qemu.signalCode === null) {
      await once(this.#qemu, 'exit');
    }
    return event[1] ?? '';
  }

  /** Connects to a vsock port of the guest as soon as something listens there. */
  async connect(port: number): Promise<Socket> {
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      const socket = await this.#tryConnect(port);
      if (socket !== undefined) {
        return socket;
      }
      if (performance.now() > end || this.#qemu.exitCode !== null) {
        throw new Error(`nothing listens on vsock port ${port}; console:\n${this.#console}`);
      }
      await sleep(50);
    }
  }

  /** Undefined if nothing listens there (yet): the transport then closes or resets, or is not even ready to be written to. */
  #tryConnect(port: number): Promise<Socket | undefined> {
    const socket = connect(join(this.#folder, 'vsock'));
    socket.write(`CONNECT ${port}\n`);
    return new Promise((resolve) => {
      let line = '';
      const refused = () => {
        socket.destroy();
        resolve(undefined);
      };
      const read = () => {
        // "OK <number>\n", and nothing of what may follow
        for (let byte = socket.read(1); byte !== null; byte = socket.read(1)) {
          line += String(byte);
          if (line.endsWith('\n')) {
            socket.off('error', refused).off('close', refused).off('readable', read);
            resolve(socket);
            return;
          }
        }
      };
      socket.on('error', refused).on('close', refused).on('readable', read);
    });
  }

  async #until<T>(look: () => T | null, what: string, patienceMs: number): Promise<T> {
    const end = performance.now() + patienceMs;
    for (;;) {
      const found = look();
      if (found !== null) {
        return found;
      }
      const left = end - performance.now();
      if (left <= 0 || this.#qemu.exitCode !== null) {
        // What QEMU had to say may arrive after its end
        await sleep(100);
        const late = look();
        if (late !== null) {
          return late;
        }
        throw new Error(`waited in vain for ${what}; console:\n${this.#console}\nevents:\n${this.#events}`);
      }
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#changed = resolve;
        }),
        sleep(Math.min(left, 200)),
      ]);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async stop(): Promise<void> {
    for (const child of [this.#qemu, this.#vhost]) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    }
    for (const server of this.#servers) {
      server.close();
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** The parent's side of the boot heartbeat; `seen` has the byte of each beat. */
class Heart {
  readonly seen: number[] = [];
  readonly #server;

  constructor(path: string, answers: boolean) {
    this.#server = createServer((socket) => {
      socket.once('data', (data) => {
        this.seen.push(...data);
        if (answers) socket.write(data);
      });
      socket.on('error', (error) => this.seen.push(-1, error.message.length));
    });
    this.#server.listen(path);
  }

  close(): void {
    this.#server.close();
  }
}

async function exists(path: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      await access(path);
      return;
    } catch (error) {
      if (performance.now() > end) {
        throw error;
      }
      await sleep(10);
    }
  }
}

/** The guest's clock is the host's; without being told, a kernel under emulation sometimes measures it wrong and hangs. */
async function tscKhz(): Promise<number> {
  const mhz = /^cpu MHz\s*:\s*([0-9.]+)$/m.exec(await readFile('/proc/cpuinfo', 'utf8'))?.[1];
  return Math.round(Number(mhz ?? 0) * 1000);
}
