import type { EnclaveRecord, VsockAddress } from '@enclaver/bus';
import type { Eif } from '@enclaver/eif';
import { type LocalNsmOptions, Microvms } from '@enclaver/machine';
import type { Backend, Capacity, LaunchRequest, Machine } from '../backend.ts';
import { hostMemory } from './host-memory.ts';

/** Runs enclaves in machines of QEMU: for development, where there is no Nitro. */
export class QemuBackend implements Backend {
  readonly name = 'qemu';
  readonly #microvms: Microvms;

  /** `dieWithUs`: machines end with this process, however it ends. */
  constructor(options: { dieWithUs: boolean; nsm: LocalNsmOptions }) {
    this.#microvms = new Microvms(options);
  }

  check(eif: Eif, memoryMb: number): Promise<void> {
    return this.#microvms.check(eif, memoryMb);
  }

  /** CPUs are shared with everything else on the host, so that none is handed out. */
  async capacity(held: readonly EnclaveRecord[]): Promise<Capacity> {
    return { memoryMb: await hostMemory(held) };
  }

  place(folder: string, used: readonly VsockAddress[]): { vsock: VsockAddress; console: string } {
    return this.#microvms.place(folder, used);
  }

  launch(request: LaunchRequest): Promise<Machine> {
    return this.#microvms.launch(request);
  }

  adopt({ id, vsock, measurements, debug }: EnclaveRecord, folder: string): Promise<Machine | undefined> {
    return this.#microvms.adopt({ id, folder, vsock, measurements, debug });
  }

  /** Nobody but a supervisor starts a machine here. */
  async adoptLate(): Promise<undefined> {}
}
