import type { Eif, Measurements } from '@enclaver/eif';
import type { GuestAddress } from '@enclaver/vsock';

export interface MicrovmRequest {
  /** The machine's own folder, private to this user. */
  folder: string;
  eif: Eif;
  cpuCount: number;
  memoryMb: number;
  /** As `place` gave it. */
  vsock: GuestAddress;
  /** Attested as one in debug mode: its measurements are zero. */
  debug: boolean;
}

/** What is known of a machine that another process started. */
export interface RunningMicrovm {
  /** For the log. */
  id: string;
  folder: string;
  vsock: GuestAddress;
  measurements: Measurements;
  debug: boolean;
}
