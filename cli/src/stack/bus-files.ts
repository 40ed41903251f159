import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BusUser, busUsers, natsServerConfig, permissionsOf } from '@enclaver/bus';

interface UserPassword {
  user: BusUser;
  password: string;
}

export interface ServerConfigOptions {
  /** Folder for the configuration; only its owner may read it. */
  dir: string;
  storeDir: string;
  /** TCP port on 127.0.0.1; 0 for a free one. */
  port: number;
  /** Where nats-server writes the port it took. */
  portsDir?: string;
}

/** Writes `<dir>/nats.conf` for a server on loopback, with a fresh password for each user. */
export async function writeServerConfig(
  options: ServerConfigOptions,
): Promise<{ config: string; users: UserPassword[] }> {
  const { dir, storeDir, port, portsDir } = options;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await mkdir(storeDir, { recursive: true, mode: 0o700 });
  const users = busUsers.map((user) => ({ user, password: randomBytes(24).toString('base64url') }));
  const config = join(dir, 'nats.conf');
  const permitted = users.map((each) => ({ ...each, permissions: permissionsOf(each.user) }));
  const text = natsServerConfig({ host: '127.0.0.1', port, storeDir, portsDir, users: permitted });
  await writeFile(config, text, { mode: 0o600 });
  return { config, users };
}

/** Writes `<dir>/<user>.json` for each user. */
export async function writeCredentials(dir: string, url: string, users: readonly UserPassword[]): Promise<void> {
  for (const user of users) {
    await writeFile(join(dir, `${user.user}.json`), JSON.stringify({ url, ...user }), { mode: 0o600 });
  }
}
