import { randomBytes } from 'node:crypto';
import { instancePcr, type Measurements, rolePcr } from '@enclaver/eif';
import * as z from 'zod';
import { encodeAnswer, encodeErrorAnswer } from '../nsm/answer.ts';
import { NsmError } from '../nsm/errors.ts';
import { MAX_FIELD_BYTES, MAX_RANDOM_BYTES, MAX_REQUEST_BYTES, PCR_COUNT } from '../nsm/limits.ts';
import type { NsmTransport } from '../nsm/nsm.ts';
import { type AttestationFields, decodeRequest, type NsmRequest } from '../nsm/request.ts';
import { CertificateChain, type ModuleIdentity } from './chain.ts';
import type { DevelopmentRoot } from './development-root.ts';
import { signDocument } from './document.ts';
import { SimulatorError } from './errors.ts';
import { MAX_ARN_LENGTH } from './limits.ts';
import { Refusal, Registers } from './registers.ts';
import { parseState, pcrHex, type SimulatorState } from './state.ts';

export interface SimulatorOptions {
  /** Whom the documents hang from. */
  root: DevelopmentRoot;
  /** Of the image that is said to run. */
  measurements: Measurements;
  /** ARN of the parent instance's role. Default: none, and PCR3 is zero. */
  roleArn?: string;
  /** Of the parent instance. Default: none; PCR4 is zero, and the module id begins with `i-00000000000000000`. */
  instanceId?: string;
  /** In the names of the certificates. Default: `us-east-1`. */
  region?: string;
  /** As `nitro-cli run-enclave --debug-mode`: PCR0, PCR1, PCR2 and PCR8 are zero. */
  debug?: boolean;
  now?: () => Date;
  /** What `save` was given last, in an earlier process: module id and registers go on as they were. */
  saved?: unknown;
  /** Told what to remember before the answer that makes it known. It throws: the request fails, and nothing is answered. */
  save?: (state: SimulatorState) => void;
}

const NO_INSTANCE = 'i-00000000000000000';
const optionsSchema = z.object({
  measurements: z.object({ PCR0: pcrHex, PCR1: pcrHex, PCR2: pcrHex, PCR8: pcrHex.optional() }),
  roleArn: z.string().regex(/^arn:/).max(MAX_ARN_LENGTH).optional(),
  instanceId: z
    .string()
    .regex(/^i-(?:[0-9a-f]{17}|[0-9a-f]{8})$/)
    .optional(),
  region: z.string().regex(/^[a-z]{2,3}(?:-[a-z]{1,16}){1,3}-\d{1,2}$/),
});

/**
 * A **simulator** of the Nitro Secure Module, for tests and demos without the hardware. It answers as the device does, with the
 * device's limits and errors, and is a transport for `Nsm`: `new Nsm(simulator.request)`.
 *
 * Its measurements are what it is told, and its root's key is an ordinary file: what it attests proves nothing.
 */
export class NsmSimulator {
  readonly moduleId: string;
  readonly #root: DevelopmentRoot;
  readonly #identity: ModuleIdentity;
  readonly #registers: Registers;
  readonly #now: () => Date;
  readonly #save: (state: SimulatorState) => void;
  #chain: CertificateChain;

  /** Throws SimulatorError SIMULATOR_OPTION, SIMULATOR_STATE, and what `save` throws. */
  constructor(given: SimulatorOptions) {
    const { root, measurements, roleArn, instanceId, region = 'us-east-1', debug = false, now, saved, save } = given;
    const options = optionsSchema.safeParse({ measurements, roleArn, instanceId, region });
    if (!options.success) {
      const found = z.prettifyError(options.error);
      throw new SimulatorError('SIMULATOR_OPTION', `the NSM simulator cannot be made: ${found}`);
    }
    this.#root = root;
    this.#now = now ?? (() => new Date());
    this.#save = save ?? (() => undefined);
    const before = saved === undefined ? undefined : parseState(saved);
    this.moduleId = before?.moduleId ?? `${instanceId ?? NO_INSTANCE}-enc${enclaveNumber(this.#now())}`;
    this.#identity = { moduleId: this.moduleId, instanceId: instanceId ?? NO_INSTANCE, region };
    this.#registers =
      before === undefined
        ? new Registers(initialRegisters({ measurements, roleArn, instanceId, debug }))
        : Registers.restore(before.registers);
    this.#chain = new CertificateChain(root, this.#identity, this.#now());
    if (before === undefined) this.#remember();
  }

  /** The answer to one request. Never rejects for what a request holds: that gives an error answer, as from the device. */
  readonly request: NsmTransport = async (bytes) => {
    try {
      if (bytes.length > MAX_REQUEST_BYTES) throw new Refusal('InputTooLarge');
      return this.#answer(decodeRequest(bytes));
    } catch (error) {
      if (error instanceof Refusal) return encodeErrorAnswer(error.code);
      // What is no request at all: QEMU's device says the same.
      if (error instanceof NsmError) return encodeErrorAnswer('InvalidOperation');
      throw error;
    }
  };

  #answer(request: NsmRequest): Uint8Array {
    switch (request.kind) {
      case 'DescribeNSM':
        return encodeAnswer(request.kind, {
          version_major: 1,
          version_minor: 0,
          version_patch: 0,
          module_id: this.moduleId,
          max_pcrs: PCR_COUNT,
          locked_pcrs: [...this.#registers.locked().keys()],
          digest: 'SHA384',
        });
      case 'DescribePCR': {
        const { locked, value } = this.#registers.describe(request.index);
        return encodeAnswer(request.kind, { lock: locked, data: value });
      }
      case 'ExtendPCR':
        return encodeAnswer(request.kind, {
          data: this.#change(() => this.#registers.extend(request.index, request.data)),
        });
      case 'LockPCR':
        this.#change(() => this.#registers.lock(request.index));
        return encodeAnswer(request.kind, undefined);
      case 'LockPCRs':
        this.#change(() => this.#registers.lockRange(request.range));
        return encodeAnswer(request.kind, undefined);
      case 'GetRandom':
        return encodeAnswer(request.kind, { random: randomBytes(MAX_RANDOM_BYTES) });
      case 'Attestation':
        return encodeAnswer(request.kind, { document: this.#attest(request) });
    }
  }

  #change<T>(change: () => T): T {
    const result = change();
    this.#remember();
    return result;
  }

  #remember(): void {
    this.#save({ moduleId: this.moduleId, registers: this.#registers.save() });
  }

  #attest({ publicKey, userData, nonce }: AttestationFields): Uint8Array {
    if (publicKey?.length === 0) throw new Refusal('InvalidArgument');
    for (const field of [publicKey, userData, nonce]) {
      if ((field?.length ?? 0) > MAX_FIELD_BYTES) throw new Refusal('InputTooLarge');
    }
    const now = this.#now();
    if (!this.#chain.serves(now)) this.#chain = new CertificateChain(this.#root, this.#identity, now);
    const content = { moduleId: this.moduleId, timestamp: now.getTime(), pcrs: this.#registers.locked() };
    return signDocument({ ...content, fields: { publicKey, userData, nonce } }, this.#chain);
  }
}

function initialRegisters({
  measurements,
  roleArn,
  instanceId,
  debug,
}: {
  measurements: Measurements;
  roleArn: string | undefined;
  instanceId: string | undefined;
  debug: boolean;
}): Map<number, Uint8Array> {
  const registers = new Map<number, Uint8Array>();
  if (!debug) {
    for (const [index, value] of [measurements.PCR0, measurements.PCR1, measurements.PCR2].entries()) {
      registers.set(index, Buffer.from(value, 'hex'));
    }
    if (measurements.PCR8 !== undefined) registers.set(8, Buffer.from(measurements.PCR8, 'hex'));
  }
  if (roleArn !== undefined) registers.set(3, rolePcr(roleArn));
  if (instanceId !== undefined) registers.set(4, instancePcr(instanceId));
  return registers;
}

/** 16 digits that no other enclave has, beginning with the time of its start as those of AWS do. */
function enclaveNumber(now: Date): string {
  return now.getTime().toString(16).padStart(12, '0') + randomBytes(2).toString('hex');
}
