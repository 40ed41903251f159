import type { EnclaveRecord } from '@enclaver/bus';

/** The record of an enclave in its launch, whose vsock is at `path`. */
export function enclaveRecord(number: number, path: string, name = 'hello'): EnclaveRecord {
  return {
    id: `e-${number.toString(16).padStart(12, '0')}`,
    name,
    state: 'launching',
    backend: 'qemu',
    eif: '/hello.eif',
    measurements: { PCR0: 'a'.repeat(96), PCR1: 'b'.repeat(96), PCR2: 'c'.repeat(96) },
    cpuCount: 1,
    memoryMb: 512,
    debug: false,
    vsock: { type: 'unix', path },
    ingress: [],
    egress: false,
    times: {},
  };
}
