import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** What this machine offers to a container that runs an enclave on Nitro. */
export interface NitroParent {
  device: string;
  /** Folder that stands for the parent instance, with the emulator of nitro-cli. */
  emulated: string | undefined;
}

/** Undefined where there is no Nitro, or `ENCLAVER_BACKEND=qemu` says not to use it. */
export function nitroParent(env: NodeJS.ProcessEnv): NitroParent | undefined {
  if (env.ENCLAVER_BACKEND === 'qemu') return undefined;
  const emulated = env.ENCLAVER_NITRO_EMULATED;
  const device = join(emulated ?? '/', 'dev/nitro_enclaves');
  return existsSync(device) ? { device, emulated } : undefined;
}
