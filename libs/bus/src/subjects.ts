/** Every subject of the bus. The `v1` is the schema version: a breaking change gets a new tree beside the old one. */
const ROOT = 'enclaver.v1';

/** Ids are made by us, but a subject built from a foreign string could reach another tree: check once, here. */
function token(value: string): string {
  if (!/^[A-Za-z0-9_-]+$/.test(value)) throw new TypeError(`not a subject token: ${JSON.stringify(value)}`);
  return value;
}

export const subjects = {
  operation: (service: string, operation: string) => `${ROOT}.${token(service)}.${token(operation)}`,
  enclaveEvent: (id: string, event: string) => `${ROOT}.enclave.${token(id)}.${token(event)}`,
  enclaveEvents: (id?: string) => `${ROOT}.enclave.${id === undefined ? '*' : token(id)}.*`,
  /** All of one kind, as people listen to it. */
  all: (kind: 'enclave' | 'log' | 'warning') => `${ROOT}.${kind}.>`,
  /** One event of every enclave: for permissions. */
  enclaveEventOfAll: (event: string) => `${ROOT}.enclave.*.${token(event)}`,
  buildProgresses: () => `${ROOT}.build.*.progress`,
  buildProgress: (buildId: string) => `${ROOT}.build.${token(buildId)}.progress`,
  log: (id: string, kind: string) => `${ROOT}.log.${token(id)}.${token(kind)}`,
  warning: (service: string, code: string) => `${ROOT}.warning.${token(service)}.${token(code)}`,
  warningsOf: (service: string) => `${ROOT}.warning.${token(service)}.*`,
  warnings: () => `${ROOT}.warning.*.*`,
  logOfAll: (kind: string) => `${ROOT}.log.*.${token(kind)}`,
  logs: (id?: string) => `${ROOT}.log.${id === undefined ? '*' : token(id)}.*`,
  /** One event that a host keeps, by its number: for its fleet. */
  keptEvent: () => `${ROOT}.event.kept`,
  /** What the hub of a fleet calls a host's subject. */
  ofHost: (host: string, subject: string) => `host.${token(host)}.${subject}`,
  ofEveryHost: (subject: string) => `host.*.${subject}`,
  /** What a user's requests are answered on: under its own name, so that nobody can read another's answers. */
  inboxPrefix: (user: string) => `_INBOX_${token(user)}`,
} as const;

export const EVENT_STREAM = 'ENCLAVER_EVENTS';
export const LOG_STREAM = 'ENCLAVER_LOGS';
export const ENCLAVE_BUCKET = 'enclaver_enclaves';
export const BLOB_BUCKET = 'enclaver_blobs';
export const WARNING_BUCKET = 'enclaver_warnings';
export const WEBHOOK_BUCKET = 'enclaver_webhooks';
export const LOG_SINK_BUCKET = 'enclaver_log_sinks';
export const LEASE_BUCKET = 'enclaver_leases';
