import type { BusCredentials } from './credentials.ts';

export interface ServerConfig {
  /** IP address to listen on: loopback, unless the machine's own network keeps others out. */
  host: string;
  /** 0 asks the system for a free port, which nats-server writes into `portsDir`. */
  port: number;
  /** Folder for the streams and the KV bucket. */
  storeDir: string;
  /** Folder in which nats-server writes the ports it took. */
  portsDir?: string | undefined;
  users: readonly Required<Pick<BusCredentials, 'user' | 'password'>>[];
}

/** Largest bus message in bytes. A build request carries a manifest of at most 1 MiB, escaped and wrapped. */
const MAX_PAYLOAD = 4 * 1024 * 1024;
/** Bounds of JetStream: both streams and the bucket fit three times over. */
const MAX_FILE_STORE = 1024 * 1024 * 1024;
const MAX_MEMORY_STORE = 64 * 1024 * 1024;

/** Configuration text for nats-server 2.9 and later. Its strings are quoted as JSON, which its format takes. */
export function natsServerConfig(config: ServerConfig): string {
  const text = JSON.stringify;
  const users = config.users.map((user) => `    { user: ${text(user.user)}, password: ${text(user.password)} }`);
  return [
    `host: ${text(config.host)}`,
    `port: ${config.port === 0 ? -1 : config.port}`,
    ...(config.portsDir === undefined ? [] : [`ports_file_dir: ${text(config.portsDir)}`]),
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
