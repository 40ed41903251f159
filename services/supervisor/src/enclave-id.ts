import { randomBytes } from 'node:crypto';

/** An id that no other enclave has. */
export function newEnclaveId(): string {
  return `e-${randomBytes(6).toString('hex')}`;
}
