import type { EnclaveRecord, VsockAddress } from '@enclaver/bus';
import type { Eif } from '@enclaver/eif';
import type { MicrovmEnd } from '@enclaver/machine';

export type MachineEnd = MicrovmEnd;

/** A machine that runs an enclave. */
export interface Machine {
  /** The process that is the machine, where there is one. */
  readonly pid: number | undefined;
  /**
   * Resolves when the kernel inside has reported. How is the backend's: on Nitro it is nitro-cli that listens for the heartbeat,
   * and nobody else may. Never rejects; for a machine that was adopted it means nothing.
   */
  readonly booted: Promise<void>;
  /** Resolves when the machine is gone, within milliseconds and without asking. Never rejects. */
  readonly gone: Promise<MachineEnd>;
  /** Ends the machine and all that belongs to it. May be called at any time and again. */
  kill(): Promise<void>;
}

export interface LaunchRequest {
  /** The enclave's own folder, private to this user. */
  folder: string;
  eif: Eif;
  /** Where it was read; what runs must still measure so. */
  eifPath: string;
  cpuCount: number;
  memoryMb: number;
  vsock: VsockAddress;
  /** Attested as one in debug mode: its measurements are zero. */
  debug: boolean;
}

/** What a host has of something for its enclaves. */
export interface Supply {
  /** All of it, taken or not. */
  total: number;
  /** What is left now, where the backend sees what others than our enclaves take, too. */
  free?: number;
  /** How there can be more. */
  remedy: string;
}

/** What a host can give. What is not named here is not handed out piece by piece. */
export interface Capacity {
  /** CPUs that an enclave has for itself. */
  cpus?: Supply;
  memoryMb?: Supply;
  /** Enclaves at a time. */
  enclaves?: Supply;
}

/** A kind of machine. The lifecycle knows no other part of it. */
export interface Backend {
  readonly name: EnclaveRecord['backend'];
  /** Throws an error with a code when this host cannot run this image with so much memory and so many CPUs. */
  check(eif: Eif, memoryMb: number, cpuCount: number): Promise<void>;
  /** What this host can give, and what is left of it beside the enclaves in `held`: those that run or are about to. */
  capacity(held: readonly EnclaveRecord[]): Promise<Capacity>;
  /** Where the enclave will be found; `used` are the addresses of the others. Throws `RUN_DIR_TOO_LONG`. */
  place(folder: string, used: readonly VsockAddress[], debug: boolean): { vsock: VsockAddress; console?: string };
  /** Starts the machine; it may have booted already when this returns. Throws `MACHINE_FAILED`. */
  launch(request: LaunchRequest): Promise<Machine>;
  /** Takes up a machine that another supervisor started; undefined when it is gone. */
  adopt(record: EnclaveRecord, folder: string): Promise<Machine | undefined>;
  /** Where `adopt` has found nothing: waits for what a start still brings that goes on without the supervisor that began it. */
  adoptLate(record: EnclaveRecord, folder: string): Promise<Machine | undefined>;
}
