import { existsSync } from 'node:fs';
import type { LocalNsmOptions } from '@enclaver/machine';
import type { Logger } from 'pino';
import type { SupervisorEnv } from '../config.ts';
import type { Backend } from './backend.ts';
import { emulatedHost, nitroDevice } from './nitro/emulated-host.ts';

/** The backend that `ENCLAVER_BACKEND` names; `auto` is Nitro where its device is. The other one is not even loaded. */
export async function chooseBackend(env: SupervisorEnv, nsm: LocalNsmOptions, logger: Logger): Promise<Backend> {
  const { ENCLAVER_BACKEND: chosen, ENCLAVER_NITRO_EMULATED: root } = env;
  const emulated = root === undefined ? undefined : emulatedHost(root);
  const nitro = chosen === 'nitro' || (chosen === 'auto' && existsSync(nitroDevice(emulated)));
  logger.info({ backend: nitro ? 'nitro' : 'qemu', emulated: root }, 'backend');
  if (nitro) {
    const { NitroBackend } = await import('./nitro/nitro-backend.ts');
    return new NitroBackend({ logger, emulated });
  }
  const { QemuBackend } = await import('./qemu/qemu-backend.ts');
  return new QemuBackend({ dieWithUs: env.ENCLAVER_STOP_ON_EXIT === '1', nsm });
}
