import type { EnclaveRecord } from '@enclaver/bus';
import { record } from '../../../libs/bus/test/record.ts';

/** The record of an enclave in its launch, whose vsock is at `path`. */
export function enclaveRecord(number: number, path: string, name = 'hello'): EnclaveRecord {
  const id = `e-${number.toString(16).padStart(12, '0')}`;
  return { ...record, id, name, state: 'launching', vsock: { type: 'unix', path } };
}
