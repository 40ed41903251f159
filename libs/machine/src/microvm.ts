import type { ChildProcess } from 'node:child_process';
import type { Heartbeat } from './heartbeat.ts';
import type { LocalNsm } from './local-nsm.ts';
import type { QmpClient } from './qmp-client.ts';

/** How a machine ended. */
export interface MicrovmEnd {
  /** `power-off`: by its own will. `reset`: a panic or reboot. `died`: its process ended without a word. `killed`: by us. */
  reason: 'power-off' | 'reset' | 'died' | 'killed';
  /** For people. */
  detail: string;
}

/** A process of the machine: our child, or one that an earlier supervisor started. */
export interface MachineProcess {
  pid: number;
  /** Our child; its exit is told to us. */
  child?: ChildProcess;
}

/** What belongs to the machine and ends with it. */
export interface MachineLinks {
  qmp: QmpClient;
  nsm: LocalNsm | undefined;
  /** None for a machine that has booted before. */
  heartbeat?: Heartbeat;
}

/**
 * A running QEMU. Its end is noticed by whichever comes first: the exit of the process, or the close of its QMP socket,
 * which also works for a process that is not our child. Nothing is polled.
 */
export class Microvm {
  /** QEMU's. */
  readonly pid: number;
  /** Resolves when init has reported; at once for a machine that was adopted. */
  readonly booted: Promise<void>;
  /** Resolves when the machine is gone, within milliseconds. */
  readonly gone: Promise<MicrovmEnd>;
  readonly #qemu: MachineProcess;
  readonly #vhost: MachineProcess | undefined;
  readonly #qmp: QmpClient;
  #killed = false;

  constructor(qemu: MachineProcess, vhost: MachineProcess | undefined, { qmp, nsm, heartbeat }: MachineLinks) {
    this.#qemu = qemu;
    this.#vhost = vhost;
    this.#qmp = qmp;
    this.pid = qemu.pid;
    this.booted = heartbeat?.arrived ?? Promise.resolve();
    void heartbeat?.arrived.then(() => heartbeat.close());
    const gone = Promise.withResolvers<void>();
    qemu.child?.once('exit', () => gone.resolve());
    void qmp.closed.then(() => gone.resolve());
    // Without its vsock a guest runs on, deaf and dumb: that machine is as good as dead
    vhost?.child?.once('exit', () => {
      signal(this.#qemu, 'SIGKILL');
      gone.resolve();
    });
    this.gone = gone.promise.then(async () => {
      await heartbeat?.close();
      await nsm?.close();
      return this.#end();
    });
  }

  /** Ends the machine and all that belongs to it. May be called at any time and again. */
  async kill(): Promise<void> {
    this.#killed = true;
    signal(this.#qemu, 'SIGKILL');
    await this.gone;
    if (this.#vhost !== undefined) signal(this.#vhost, 'SIGKILL');
    this.#qmp.close();
  }

  #end(): MicrovmEnd {
    const said = this.#qmp.shutdownReason;
    if (this.#killed) return { reason: 'killed', detail: 'the machine was ended from outside' };
    if (said === 'guest-shutdown') return { reason: 'power-off', detail: 'the machine powered itself off' };
    if (said === 'guest-reset' || said === 'guest-panic') {
      return { reason: 'reset', detail: 'the kernel panicked or rebooted' };
    }
    return {
      reason: 'died',
      detail: `the machine's process ${this.pid} ended${said === undefined ? '' : ` (${said})`}`,
    };
  }
}

/** It may have ended already. */
export function signal({ pid, child }: MachineProcess, name: NodeJS.Signals): void {
  if (child !== undefined) {
    child.kill(name);
    return;
  }
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
