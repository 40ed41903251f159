import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where things are on the parent instance that a folder stands for. */
export interface Parent {
  root: string;
  device: string;
  /** Sockets of the enclave processes. */
  sockets: string;
  logs: string;
  /** What each enclave process has taken of the parent. */
  claims: string;
  /** Work folders of the machines. */
  machines: string;
  /** A Unix socket for each CID. */
  vsock: string;
  /** Development root of the simulated NSMs. */
  nsm: string;
  instanceId: string;
}

/** @throws Error when `ENCLAVER_NITRO_EMULATED` is not set. */
export function parentOf(env: NodeJS.ProcessEnv): Parent {
  const root = env.ENCLAVER_NITRO_EMULATED;
  if (root === undefined)
    throw new Error('this is an emulator: ENCLAVER_NITRO_EMULATED must name the folder of its parent');
  return {
    root,
    device: join(root, 'dev/nitro_enclaves'),
    sockets: env.NITRO_CLI_SOCKETS_PATH ?? join(root, 'run/nitro_enclaves'),
    logs: env.NITRO_CLI_LOGS_PATH ?? join(root, 'var/log/nitro_enclaves'),
    claims: join(root, 'run/claims'),
    machines: join(root, 'run/machines'),
    vsock: join(root, 'vsock'),
    nsm: env.ENCLAVER_NSM_DIR ?? join(root, 'var/nsm'),
    instanceId: read(root, 'sys/devices/virtual/dmi/id/board_asset_tag') ?? 'i-0000000000000000',
  };
}

/** A file of the parent; undefined where it has none. */
export function read(root: string, path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export function list(root: string, path: string): string[] {
  try {
    return readdirSync(join(root, path)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
