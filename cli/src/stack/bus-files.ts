import { randomBytes } from 'node:crypto';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type BusUser,
  busUsers,
  type LeafLink,
  natsServerConfig,
  permissionsOf,
  readCredentials,
  type ServerTls,
} from '@enclaver/bus';
import { readHostLink } from '@enclaver/bus/fleet';

interface UserPassword {
  user: BusUser;
  password: string;
}

export interface ServerConfigOptions {
  /** Folder for the configuration; only its owner may read it. */
  dir: string;
  storeDir: string;
  /** IP address to listen on; default 127.0.0.1, and another one only with `tls`. */
  host?: string | undefined;
  /** TCP port; 0 for a free one. */
  port: number;
  /** Where nats-server writes the port it took. */
  portsDir?: string;
  tls?: ServerTls | undefined;
  /** File that links the host to its fleet. */
  fleet?: string | undefined;
}

/** Writes `<dir>/nats.conf`; passwords of earlier credentials files in `dir` are kept, others are new. */
export async function writeServerConfig(
  options: ServerConfigOptions,
): Promise<{ config: string; users: UserPassword[] }> {
  const { dir, storeDir, host = '127.0.0.1', port, portsDir, tls } = options;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await mkdir(storeDir, { recursive: true, mode: 0o700 });
  const users = await Promise.all(busUsers.map(async (user) => ({ user, password: await passwordOf(dir, user) })));
  const config = join(dir, 'nats.conf');
  const permitted = users.map((each) => ({ ...each, permissions: permissionsOf(each.user) }));
  const fleet = options.fleet === undefined ? undefined : await leafLink(options.fleet, dir);
  const text = natsServerConfig({ host, port, storeDir, portsDir, tls, fleet, users: permitted });
  await writeFile(config, text, { mode: 0o600 });
  return { config, users };
}

async function passwordOf(dir: string, user: BusUser): Promise<string> {
  const file = join(dir, `${user}.json`);
  const exists = await access(file).then(
    () => true,
    () => false,
  );
  const known = exists ? (await readCredentials(file)).password : undefined;
  return known ?? newPassword();
}

export function newPassword(): string {
  return randomBytes(24).toString('base64url');
}

/** nats-server takes certificates as a file only. */
async function leafLink(file: string, dir: string): Promise<LeafLink> {
  const { host, url, password, caPem } = await readHostLink(file);
  const link = { url, user: host, password };
  if (caPem === undefined) return link;
  const ca = join(dir, 'fleet-ca.pem');
  await writeFile(ca, caPem, { mode: 0o600 });
  return { ...link, ca };
}

/** Writes `<dir>/<user>.json` for each user; `ca` is the file of the CA that clients trust, with `tls://`. */
export async function writeCredentials(
  dir: string,
  url: string,
  users: readonly UserPassword[],
  ca?: string,
): Promise<void> {
  for (const user of users) {
    await writeFile(join(dir, `${user.user}.json`), JSON.stringify({ url, ...user, ca }), { mode: 0o600 });
  }
}
