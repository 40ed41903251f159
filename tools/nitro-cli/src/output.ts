import type { Measurements } from '@enclaver/eif';
import * as z from 'zod';

/** What is printed of an enclave, with the keys in nitro-cli's order. */
export interface EnclaveInfo {
  EnclaveName: string;
  EnclaveID: string;
  ProcessID: number;
  EnclaveCID: number;
  NumberOfCPUs: number;
  CPUIDs: readonly number[];
  MemoryMiB: number;
}

/** Of the answer to `describe`, what the command itself looks at. */
export const describedSchema = z.looseObject({
  EnclaveName: z.string(),
  EnclaveID: z.string(),
  EnclaveCID: z.number(),
  Flags: z.string(),
});

export function measurementsOf(measurements: Measurements): object {
  return { HashAlgorithm: 'Sha384 { ... }', ...measurements };
}

export function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
}
