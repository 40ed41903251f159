import { join } from 'node:path';
import type { VsockAddress } from '@enclaver/bus';

/**
 * A folder that stands for a parent instance where there is none, for the emulator of nitro-cli (tools/nitro-cli): below it are
 * dev, etc, run, sys and var as on the instance, and in `vsock` a Unix socket for each CID, since there is no AF_VSOCK.
 */
export interface EmulatedHost {
  root: string;
  vsock(cid: number): VsockAddress;
}

export function emulatedHost(root: string): EmulatedHost {
  return { root, vsock: (cid) => ({ type: 'unix', path: join(root, 'vsock', String(cid)) }) };
}

export function nitroDevice(emulated: EmulatedHost | undefined): string {
  return join(emulated?.root ?? '/', 'dev/nitro_enclaves');
}
