import type { EnclaveRecord } from '../src/index.ts';

/** Of no enclave in particular, for tests of whoever reads records; what matters to one it says itself. */
export const record: EnclaveRecord = {
  id: 'e-0123456789ab',
  name: 'hello',
  state: 'requested',
  backend: 'qemu',
  eif: '/var/lib/enclaver/hello.eif',
  measurements: { PCR0: 'a'.repeat(96), PCR1: 'b'.repeat(96), PCR2: 'c'.repeat(96) },
  cpuCount: 2,
  memoryMb: 512,
  debug: false,
  vsock: { type: 'unix', path: '/run/enclaver/e-0123456789ab/vsock' },
  ingress: [{ listenPort: 8080, host: '127.0.0.1', port: 8080 }],
  egress: true,
  times: { requested: '2026-01-01T00:00:00.000Z' },
};
