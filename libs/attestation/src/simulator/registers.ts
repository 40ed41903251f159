import { extendPcr } from '@enclaver/eif';
import type { DeviceErrorCode } from '../nsm/errors.ts';
import { FIRST_USER_PCR, PCR_BYTES, PCR_COUNT } from '../nsm/limits.ts';

/** The simulated device says no. It goes out as an error answer. */
export class Refusal extends Error {
  readonly code: DeviceErrorCode;

  constructor(code: DeviceErrorCode) {
    super(code);
    this.code = code;
  }
}

export interface RegisterState {
  /** 96 hexadecimal digits. */
  value: string;
  locked: boolean;
}

/** The 32 registers of one enclave. 0 to 15 are locked from the start. */
export class Registers {
  readonly #registers: { value: Uint8Array; locked: boolean }[];

  /** `initial` by index; the others are zero. */
  constructor(initial: ReadonlyMap<number, Uint8Array>) {
    this.#registers = Array.from({ length: PCR_COUNT }, (_, index) => ({
      value: initial.get(index) ?? new Uint8Array(PCR_BYTES),
      locked: index < FIRST_USER_PCR,
    }));
  }

  /** Those of an earlier process. */
  static restore(saved: readonly RegisterState[]): Registers {
    const registers = new Registers(new Map(saved.map(({ value }, index) => [index, Buffer.from(value, 'hex')])));
    for (const [index, { locked }] of saved.entries()) if (locked) registers.#at(index).locked = true;
    return registers;
  }

  save(): RegisterState[] {
    return this.#registers.map(({ value, locked }) => ({ value: Buffer.from(value).toString('hex'), locked }));
  }

  describe(index: number): Readonly<{ value: Uint8Array; locked: boolean }> {
    return this.#at(index);
  }

  extend(index: number, data: Uint8Array): Uint8Array {
    const register = this.#open(index);
    register.value = extendPcr(register.value, data);
    return register.value;
  }

  lock(index: number): void {
    this.#open(index).locked = true;
  }

  /** Locks the first `range` registers; those that are locked stay so. */
  lockRange(range: number): void {
    if (range > PCR_COUNT) throw new Refusal('InvalidIndex');
    for (const register of this.#registers.slice(0, range)) register.locked = true;
  }

  /** Index and value of every locked register, in their order: what stands in a document. */
  locked(): Map<number, Uint8Array> {
    return new Map(
      [...this.#registers.entries()].flatMap(([index, { value, locked }]) => (locked ? [[index, value]] : [])),
    );
  }

  #at(index: number): { value: Uint8Array; locked: boolean } {
    const register = this.#registers[index];
    if (register === undefined) throw new Refusal('InvalidIndex');
    return register;
  }

  #open(index: number): { value: Uint8Array; locked: boolean } {
    const register = this.#at(index);
    if (register.locked) throw new Refusal('ReadOnlyIndex');
    return register;
  }
}
