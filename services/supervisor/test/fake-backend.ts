import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { EnclaveRecord, VsockAddress } from '@enclaver/bus';
import { ControlDecoder, type ControlRequest, type EnclaveStatus, encodeStatus, STATUS_PORT } from '@enclaver/wire';
import { FakeGuest } from '../../../libs/vsock/test/fake-guest.ts';
import type { Backend, Capacity, LaunchRequest, Machine, MachineEnd } from '../src/backends/backend.ts';

/** A machine without a machine: init and odyn as seen from outside, moved by the test. */
export class FakeMachine implements Machine {
  readonly pid = process.pid;
  readonly booted: Promise<void>;
  readonly gone: Promise<MachineEnd>;
  readonly controls: ControlRequest[] = [];
  readonly #gone = Promise.withResolvers<MachineEnd>();
  readonly #booted = Promise.withResolvers<void>();
  readonly guest: FakeGuest;
  readonly #readers = new Set<Socket>();
  #status: Buffer | undefined;
  killed = false;
  isGone = false;
  onControl: (request: ControlRequest) => void = () => undefined;

  private constructor(guest: FakeGuest) {
    this.guest = guest;
    this.gone = this.#gone.promise;
    this.booted = this.#booted.promise;
  }

  static async start(path: string): Promise<FakeMachine> {
    return new FakeMachine(await FakeGuest.start(path));
  }

  /** The kernel is up. */
  boots(): void {
    this.#booted.resolve();
  }

  /** Sends a status to whoever listens, and to whoever comes later. */
  say(status: EnclaveStatus | Buffer): void {
    this.#status = Buffer.isBuffer(status) ? status : encodeStatus(status);
    this.guest.on(STATUS_PORT, (socket) => this.#serve(socket));
    for (const socket of this.#readers) socket.write(this.#status);
  }

  /** Closes the status port for good. */
  mute(): void {
    this.guest.off(STATUS_PORT);
    this.cut();
  }

  /** Breaks all connections; the machine goes on. */
  cut(): void {
    this.guest.cut();
  }

  async die(reason: MachineEnd['reason'] = 'died'): Promise<void> {
    this.isGone = true;
    await this.guest[Symbol.asyncDispose]();
    this.#gone.resolve({ reason, detail: `the machine ended: ${reason}` });
  }

  async kill(): Promise<void> {
    this.killed = true;
    await this.die('killed');
  }

  #serve(socket: Socket): void {
    this.#readers.add(socket);
    socket.on('close', () => this.#readers.delete(socket));
    const decoder = new ControlDecoder();
    socket.on('data', (chunk) => {
      for (const request of decoder.push(chunk)) {
        this.controls.push(request);
        this.onControl(request);
      }
    });
    if (this.#status !== undefined) socket.write(this.#status);
  }
}

export class FakeBackend implements Backend {
  readonly name = 'qemu';
  readonly machines: FakeMachine[] = [];
  /** What a new machine does. */
  onLaunch: (machine: FakeMachine, boot: number) => void = () => undefined;
  /** Starts take as long as this. */
  launchable: Promise<void> = Promise.resolve();
  readonly #byFolder = new Map<string, FakeMachine>();

  /** Without end, unless a test says otherwise. */
  host: Capacity = {};

  async check(): Promise<void> {}

  async capacity(): Promise<Capacity> {
    return this.host;
  }

  /** Addresses that the last machine must not have. */
  used: readonly VsockAddress[] = [];

  place(folder: string, used: readonly VsockAddress[]): { vsock: VsockAddress } {
    this.used = used;
    return { vsock: { type: 'unix', path: join(folder, 'vsock') } };
  }

  async launch({ vsock, folder }: LaunchRequest): Promise<Machine> {
    if (vsock.type !== 'unix') throw new TypeError('the fake has Unix sockets only');
    await this.launchable;
    const machine = await FakeMachine.start(vsock.path);
    this.machines.push(machine);
    this.#byFolder.set(folder, machine);
    this.onLaunch(machine, this.machines.length);
    return machine;
  }

  async adopt(_record: EnclaveRecord, folder: string): Promise<Machine | undefined> {
    const machine = this.#byFolder.get(folder);
    return machine?.isGone === false ? machine : undefined;
  }

  async adoptLate(): Promise<undefined> {}
}
