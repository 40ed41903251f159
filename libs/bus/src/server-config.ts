import { limits } from './limits.ts';
import type { Permissions } from './permissions.ts';
import { checkListenAddress, type ServerTls, tlsConfig } from './server-tls.ts';
import { EVENT_STREAM, subjects } from './subjects.ts';

export interface ServerUser {
  user: string;
  password: string;
  permissions: Permissions;
}

/** Where a host's server connects to the hub of its fleet. */
export interface LeafLink {
  /** `nats://` or `tls://`, host and port of the hub for leaf nodes. */
  url: string;
  user: string;
  password: string;
  /** File of the certificates that the hub's must descend from; default: those that the machine trusts. */
  ca?: string | undefined;
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
  /** Makes the host part of a fleet: see `fleet/`. */
  fleet?: LeafLink | undefined;
}

/** Largest bus message in bytes. A build request carries a manifest of at most 1 MiB, escaped and wrapped. */
export const MAX_PAYLOAD = 4 * 1024 * 1024;
/** Bounds of JetStream: all streams and buckets fit twice over. */
export const MAX_FILE_STORE = 1024 * 1024 * 1024;
const MAX_MEMORY_STORE = 64 * 1024 * 1024;

/** All that a fleet sees of a host, under the names it sees it by. A hub cannot ask for anything else: its account has nothing else. */
export const fleetView = {
  /** Told by the host. */
  streams: [subjects.enclaveEvents()],
  /** Asked of the host; the value is the subject that answers there. */
  requests: {
    [subjects.operation('supervisor', 'list')]: subjects.operation('supervisor', 'list'),
    // One event by its number in the stream: no consumer, so nothing that a host keeps for a hub
    [subjects.keptEvent()]: `$JS.API.STREAM.MSG.GET.${EVENT_STREAM}`,
  },
} as const;

export const quote = (text: string): string => JSON.stringify(text);

/**
 * Configuration text for nats-server 2.9 and later. Its strings are quoted as JSON, which its format takes.
 * Errors: `BUS_TLS_REQUIRED`.
 */
export function natsServerConfig(config: ServerConfig): string {
  const { fleet } = config;
  checkListenAddress(config.host, config.tls);
  const own = config.users.filter(({ permissions }) => permissions.apart !== true);
  const guests = config.users.filter(({ permissions }) => permissions.apart === true);
  return [
    `host: ${quote(config.host)}`,
    `port: ${config.port === 0 ? -1 : config.port}`,
    ...(config.portsDir === undefined ? [] : [`ports_file_dir: ${quote(config.portsDir)}`]),
    ...(config.tls === undefined ? [] : tlsConfig(config.tls)),
    `max_payload: ${MAX_PAYLOAD}`,
    `jetstream { store_dir: ${quote(config.storeDir)}, max_file_store: ${MAX_FILE_STORE}, max_memory_store: ${MAX_MEMORY_STORE} }`,
    'accounts {',
    '  ENCLAVER {',
    '    jetstream: enabled',
    usersText(own),
    exportsText(
      [...guests.flatMap(({ permissions }) => permissions.subscribe), ...fleetView.streams],
      [...guests.flatMap(({ permissions }) => permissions.publish), ...Object.values(fleetView.requests)],
    ),
    '  }',
    ...guests.map(guestAccount),
    ...(fleet === undefined ? [] : [fleetAccount]),
    '}',
    ...(fleet === undefined ? [] : [leafText(fleet)]),
    '',
  ].join('\n');
}

/** The `users` of an account. */
export function usersText(users: readonly ServerUser[]): string {
  const each = users.map(
    ({ user, password, permissions }) =>
      `      { user: ${quote(user)}, password: ${quote(password)}, permissions: {\n${permissionText(permissions)}\n      } }`,
  );
  return ['    users: [', each.join('\n'), '    ]'].join('\n');
}

/** What an account lets others have: what is told there, and what may be asked. */
export function exportsText(streams: Iterable<string>, requests: Iterable<string>): string {
  const told = [...new Set(streams)].map((subject) => `      { stream: ${quote(subject)} }`);
  const asked = [...new Set(requests)].map((subject) => {
    // All services answer a ping; of anything else the first answer is the last
    const type = subject.startsWith('$SRV.') ? ', response_type: stream' : '';
    return `      { service: ${quote(subject)}${type}, threshold: "${limits.foreignAnswerMs}ms" }`;
  });
  return ['    exports: [', ...told, ...asked, '    ]'].join('\n');
}

/** The account of a user that is `apart`. Its imports are what it may do. */
function guestAccount(user: ServerUser): string {
  const { publish, subscribe } = user.permissions;
  const from = (subject: string) => `{ account: ENCLAVER, subject: ${quote(subject)} }`;
  return [
    `  ${quote(`USER_${user.user}`)} {`,
    usersText([user]),
    '    imports: [',
    ...subscribe.map((subject) => `      { stream: ${from(subject)} }`),
    ...publish.map((subject) => `      { service: ${from(subject)} }`),
    '    ]',
    '  }',
  ].join('\n');
}

/** The account that the hub is connected to: it has no users, and of the host's own only what is imported here. */
const fleetAccount = [
  '  FLEET {',
  '    imports: [',
  ...fleetView.streams.map((subject) => `      { stream: { account: ENCLAVER, subject: ${quote(subject)} } }`),
  ...Object.entries(fleetView.requests).map(
    ([asked, answers]) => `      { service: { account: ENCLAVER, subject: ${quote(answers)} }, to: ${quote(asked)} }`,
  ),
  '    ]',
  '  }',
].join('\n');

/** A link that was cut is noticed within half a minute, where NATS by default takes minutes. */
export const LINK_CHECKS = 'ping_interval: "10s", ping_max: 2';

function leafText({ url, user, password, ca }: LeafLink): string {
  const address = new URL(url);
  address.username = encodeURIComponent(user);
  address.password = encodeURIComponent(password);
  const tls = address.protocol === 'tls:' ? `, tls { ${ca === undefined ? '' : `ca_file: ${quote(ca)} `}}` : '';
  return [LINK_CHECKS, `leafnodes { remotes: [ { url: ${quote(address.href)}, account: FLEET${tls} } ] }`].join('\n');
}

/** `allow` without `deny`: what is not named is refused. */
function permissionText({ publish, subscribe, answersForMs }: Permissions): string {
  const list = (subjects: readonly string[]) => `{ allow: [${subjects.map(quote).join(', ')}] }`;
  return [
    `        publish: ${list(publish)}`,
    `        subscribe: ${list(subscribe)}`,
    ...(answersForMs === undefined ? [] : [`        allow_responses: { max: 1, expires: "${answersForMs}ms" }`]),
  ].join('\n');
}
