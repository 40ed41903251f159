import type { EnclaveRecord, Measurements, OperationRequest } from '@enclaver/bus';
import type { Eif } from '@enclaver/eif';
import { type Manifest, needsEgress, needsStore } from '@enclaver/manifest';
import { checkMeasurements } from '@enclaver/trust';
import type { Backend } from '../backends/backend.ts';
import { newEnclaveId } from '../enclave-id.ts';
import { readImage } from '../image/enclave-image.ts';
import type { Limits } from '../limits.ts';
import { checkCapacity } from './capacity.ts';
import { publishedPorts } from './published-ports.ts';

/** A record that has no place on the host yet. */
export type Unplaced = Omit<EnclaveRecord, 'vsock' | 'console'>;

export interface Admitted {
  record: Unplaced;
  eif: Eif;
}

/** What an enclave must pass before it is accepted: its image is ours and as expected, and this host can run it. */
export class Admission {
  readonly #backend: Backend;
  readonly #limits: Limits;
  readonly #held: () => EnclaveRecord[];

  /** `held`: the enclaves that this host's resources are held by. */
  constructor(options: { backend: Backend; limits: Limits; held: () => EnclaveRecord[] }) {
    this.#backend = options.backend;
    this.#limits = options.limits;
    this.#held = options.held;
  }

  /** Errors: those of `readImage`, of the backend's check; `MEASUREMENTS_DIFFER`, `PORT_NOT_IN_MANIFEST`, `HOST_FULL`. */
  async admit(request: OperationRequest<'supervisor', 'run'>): Promise<Admitted> {
    const { manifest, eif } = await readImage(request.eif);
    // Here, too: who asked may have measured a file that has changed since
    if (request.expect !== undefined) checkMeasurements(request.expect, eif.measurements);
    const record: Unplaced = {
      id: newEnclaveId(),
      name: request.name ?? manifest.name,
      state: 'requested',
      backend: this.#backend.name,
      eif: request.eif,
      measurements: eif.measurements,
      cpuCount: request.cpuCount ?? manifest.defaults.cpuCount,
      memoryMb: request.memoryMb ?? manifest.defaults.memoryMb,
      debug: request.debug ?? false,
      ingress: publishedPorts(request, manifest),
      egress: needsEgress(manifest),
      ...(request.limits === undefined ? {} : { limits: request.limits }),
      ...(needsStore(manifest) ? { storeOwner: storeOwner(manifest, eif.measurements) } : {}),
      ...(request.restart === undefined ? {} : { restart: request.restart }),
      ...(request.startTimeoutMs === undefined ? {} : { startTimeoutMs: request.startTimeoutMs }),
      times: { requested: new Date().toISOString() },
    };
    await this.#check(record, eif);
    return { record, eif };
  }

  /** The new enclave of an update: with all that `old` has, unless the request says otherwise. Errors: as of `admit`. */
  async admitUpdate(request: OperationRequest<'supervisor', 'update'>, old: EnclaveRecord): Promise<Admitted> {
    const { name, debug, restart, limits } = old;
    const { record, eif } = await this.admit({
      ...{ eif: request.eif, name, debug, restart, limits, publish: old.update?.ingress ?? old.ingress },
      cpuCount: request.cpuCount ?? old.cpuCount,
      memoryMb: request.memoryMb ?? old.memoryMb,
      expect: request.expect,
      startTimeoutMs: request.startTimeoutMs ?? this.#limits.updateStartMs,
    });
    const { drainMs = this.#limits.drainMs, graceMs = this.#limits.graceMs } = request;
    const update = { ingress: record.ingress, drainMs, graceMs };
    return { record: { ...record, ingress: [], replaces: old.id, takesOver: old.id, update }, eif };
  }

  /** The image of an enclave that is started once more: the same bytes as the first time, or none. Errors: as of `admit`. */
  async admitAgain(record: EnclaveRecord): Promise<Eif> {
    const { eif } = await readImage(record.eif);
    checkMeasurements(record.measurements, eif.measurements);
    await this.#check(record, eif);
    return eif;
  }

  async #check(record: Unplaced, eif: Eif): Promise<void> {
    await this.#backend.check(eif, record.memoryMb, record.cpuCount);
    const others = this.#held().filter(({ id }) => id !== record.id);
    await checkCapacity(this.#backend, record, others, this.#limits);
  }
}

/**
 * Whose sealed values an image finds: those of the same signer's images of this name, or else of just this image. The name of one
 * run does not count: replicas on one host have different ones.
 */
function storeOwner({ name }: Manifest, { PCR0, PCR8 }: Measurements): string {
  return JSON.stringify([name, PCR8 ?? PCR0]);
}
