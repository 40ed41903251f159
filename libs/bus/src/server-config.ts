import type { Permissions } from './permissions.ts';
import { checkListenAddress, type ServerTls, tlsConfig } from './server-tls.ts';

export interface ServerUser {
  user: string;
  password: string;
  permissions: Permissions;
}

export interface ServerConfig {
  /** IP address to listen on: loopback, unless `tls` is given. */
  host: string;
  /** 0 asks the system for a free port, which nats-server writes into `portsDir`. */
  port: number;
  /** Folder for the streams and the KV bucket. */
  storeDir: string;
  /** Folder in which nats-server writes the ports it took. */
  portsDir?: string | undefined;
  tls?: ServerTls | undefined;
  users: readonly ServerUser[];
}

/** Largest bus message in bytes. A build request carries a manifest of at most 1 MiB, escaped and wrapped. */
const MAX_PAYLOAD = 4 * 1024 * 1024;
/** Bounds of JetStream: both streams and the bucket fit three times over. */
export const MAX_FILE_STORE = 1024 * 1024 * 1024;
const MAX_MEMORY_STORE = 64 * 1024 * 1024;

/**
 * Configuration text for nats-server 2.9 and later. Its strings are quoted as JSON, which its format takes.
 * Errors: `BUS_TLS_REQUIRED`.
 */
export function natsServerConfig(config: ServerConfig): string {
  const text = JSON.stringify;
  checkListenAddress(config.host, config.tls);
  const users = config.users.map(
    ({ user, password, permissions }) =>
      `    { user: ${text(user)}, password: ${text(password)}, permissions: {\n${permissionText(permissions)}\n    } }`,
  );
  return [
    `host: ${text(config.host)}`,
    `port: ${config.port === 0 ? -1 : config.port}`,
    ...(config.portsDir === undefined ? [] : [`ports_file_dir: ${text(config.portsDir)}`]),
    ...(config.tls === undefined ? [] : tlsConfig(config.tls)),
    `max_payload: ${MAX_PAYLOAD}`,
    `jetstream { store_dir: ${text(config.storeDir)}, max_file_store: ${MAX_FILE_STORE}, max_memory_store: ${MAX_MEMORY_STORE} }`,
    'authorization {',
    '  users: [',
    users.join('\n'),
    '  ]',
    '}',
    '',
  ].join('\n');
}

/** `allow` without `deny`: what is not named is refused. */
function permissionText({ publish, subscribe, answersForMs }: Permissions): string {
  const list = (subjects: readonly string[]) =>
    `{ allow: [${subjects.map((each) => JSON.stringify(each)).join(', ')}] }`;
  return [
    `      publish: ${list(publish)}`,
    `      subscribe: ${list(subscribe)}`,
    ...(answersForMs === undefined ? [] : [`      allow_responses: { max: 1, expires: "${answersForMs}ms" }`]),
  ].join('\n');
}
