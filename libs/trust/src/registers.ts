/** What a register measures and what an operator has to know about it. */
export interface RegisterMeaning {
  measures: string;
  /** What gives it another value. */
  changesWith: string;
  /** When an attestation document has 48 zero bytes in it. */
  zeroWhen: string;
}

/** Registers whose value is known before the enclave runs. The others are zero, or the app's own (16 to 31). */
export const registers = {
  PCR0: {
    measures: 'kernel, command line and all ramdisks',
    changesWith: 'every change of the image: app, manifest or Enclaver release',
    zeroWhen: 'debug mode',
  },
  PCR1: {
    measures: 'kernel, command line and first ramdisk: the Enclaver release',
    changesWith: 'another Enclaver release',
    zeroWhen: 'debug mode',
  },
  PCR2: {
    measures: 'the other ramdisks: the app and its manifest',
    changesWith: 'another app, manifest or launch description',
    zeroWhen: 'debug mode',
  },
  PCR3: {
    measures: 'ARN of the IAM role of the parent instance',
    changesWith: 'another role, or the role at another path',
    zeroWhen: 'the instance has no role',
  },
  PCR4: {
    measures: 'id of the parent instance',
    changesWith: 'another instance',
    zeroWhen: 'never',
  },
  PCR8: {
    measures: 'certificate that signed the image',
    changesWith: 'another certificate, a renewed one for the same key too',
    zeroWhen: 'the image is not signed; debug mode',
  },
} as const satisfies Record<string, RegisterMeaning>;

export type Register = keyof typeof registers;

/** In order of their numbers. */
export const registerNames = Object.keys(registers) as readonly Register[];

/** Values of registers: 96 lower-case hexadecimal digits each. */
export type Pcrs = Partial<Record<Register, string>>;

/** Hexadecimal digits of a register: SHA-384. */
export const PCR_DIGITS = 96;

export const ZERO_PCR = '0'.repeat(PCR_DIGITS);

/** The registers that have a value, in order. */
export function entriesOf(pcrs: Pcrs): [Register, string][] {
  return registerNames.flatMap((register) => {
    const value = pcrs[register];
    return value === undefined ? [] : [[register, value] as [Register, string]];
  });
}

/**
 * Whether these registers say which code runs: PCR0, or PCR1 and PCR2 together (the same bytes in two parts), or PCR8 (any
 * code that the holder of the certificate's key has signed). PCR1 alone leaves the app open, PCR2 alone what runs it, PCR3 and
 * PCR4 say nothing of the image.
 */
export function nameImage(chosen: Iterable<string>): boolean {
  const set = new Set(chosen);
  return set.has('PCR0') || set.has('PCR8') || (set.has('PCR1') && set.has('PCR2'));
}

export const NAMING_RULE = 'PCR0, or PCR1 and PCR2, or PCR8';
