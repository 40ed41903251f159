import { type Cidr, parseCidr, rangeWithin, unmappedRange } from './address.ts';
import { MAX_CLIENT_RULES, MAX_SHOWN_LENGTH, MAX_TLS_CONNECTIONS } from './limits.ts';
import { DEFAULT_PROXY_PORT } from './schema/egress.ts';
import { CERTIFICATE_SOURCES } from './schema/tls-certificate.ts';

/** Ports of Enclaver's own on vsock that the original has, too: status, log, egress. */
export const RESERVED_VSOCK_PORTS: ReadonlyMap<number, string> = new Map([
  [17000, 'the status of the enclave'],
  [17001, 'its log'],
  [17002, 'its egress'],
]);

/** Where names are looked up in transparent mode. */
const DNS_PORT = 53;

export interface Conflict {
  path: PropertyKey[];
  found: string;
  allowed: string;
}

/**
 * Rules that join several keys. They look at the file's own value, so that they also speak when other parts of it are
 * wrong; whatever does not have its form is passed over here, since the schema names it.
 */
export function findConflicts(value: unknown): Conflict[] {
  return [
    ...portConflicts(value),
    ...ingressConflicts(value),
    ...sourceConflicts(value),
    ...tlsConflicts(value),
    ...healthConflicts(value),
  ];
}

function* portConflicts(value: unknown): Generator<Conflict> {
  const takenBy = new Map<number, string>();
  for (const { port, path } of ports(value)) {
    const shown = showPath(path);
    const reserved = path[0] === 'ingress' ? RESERVED_VSOCK_PORTS.get(port) : undefined;
    if (reserved !== undefined) {
      const allowed = `any port but ${[...RESERVED_VSOCK_PORTS.keys()].join(', ')}`;
      yield { path, found: `port ${port}, which is reserved for ${reserved}`, allowed };
    }
    const other = takenBy.get(port);
    if (other !== undefined) {
      yield { path, found: `port ${port}, which ${other} already has`, allowed: 'each port once' };
    } else {
      takenBy.set(port, path.at(-1) === 'proxy_port' && !isGiven(value, path) ? `${shown} (by default)` : shown);
    }
  }
}

/** Every TCP port of the enclave's loopback, where the application's and Enclaver's listeners meet. */
function* ports(value: unknown): Generator<{ port: number; path: PropertyKey[] }> {
  const found: [unknown, PropertyKey[]][] = [];
  if (isMap(get(value, 'egress'))) {
    found.push([get(value, 'egress', 'proxy_port') ?? DEFAULT_PROXY_PORT, ['egress', 'proxy_port']]);
  }
  if (get(value, 'egress', 'transparent') === true) found.push([DNS_PORT, ['egress', 'transparent']]);
  found.push([get(value, 'kms_proxy', 'listen_port'), ['kms_proxy', 'listen_port']]);
  found.push([get(value, 'api', 'listen_port'), ['api', 'listen_port']]);
  const ingress = get(value, 'ingress');
  if (Array.isArray(ingress)) {
    ingress.forEach((entry: unknown, index) => {
      found.push([get(entry, 'listen_port'), ['ingress', index, 'listen_port']]);
    });
  }
  for (const [port, path] of found) if (typeof port === 'number') yield { port, path };
}

function* ingressConflicts(value: unknown): Generator<Conflict> {
  const ingress = get(value, 'ingress');
  if (!Array.isArray(ingress)) return;
  for (const [index, entry] of ingress.entries()) {
    const path = ['ingress', index];
    const most = get(entry, 'max_connections');
    if (isMap(get(entry, 'tls')) && typeof most === 'number' && most > MAX_TLS_CONNECTIONS) {
      const found = `${most} connections with TLS, which cost memory in the enclave`;
      yield { path: [...path, 'max_connections'], found, allowed: `1 to ${MAX_TLS_CONNECTIONS} for a port with tls` };
    }
    const clients = get(entry, 'clients');
    if (!isMap(clients)) continue;
    const given = get(clients, 'deny') ?? [];
    if (get(clients, 'allow') == null && Array.isArray(given) && given.length === 0) {
      const found = 'neither allow nor deny';
      yield { path: [...path, 'clients'], found, allowed: 'at least one of the two with a rule' };
    }
    const deny = ranges(given);
    for (const allow of ranges(get(clients, 'allow'))) {
      const over = deny.find(({ cidr }) => rangeWithin(allow.cidr, cidr));
      if (over === undefined) continue;
      const found = `"${allow.text}", all of which clients.deny has with "${over.text}": deny beats allow`;
      yield {
        path: [...path, 'clients', 'allow', allow.index],
        found,
        allowed: 'ranges that deny leaves something of',
      };
    }
  }
}

/** Those of a list that are ranges; the schema names the others. */
function ranges(list: unknown): { index: number; text: string; cidr: Cidr }[] {
  if (!Array.isArray(list)) return [];
  return list.slice(0, MAX_CLIENT_RULES).flatMap((text: unknown, index) => {
    try {
      return typeof text === 'string' ? [{ index, text, cidr: unmappedRange(parseCidr(text)) }] : [];
    } catch {
      return [];
    }
  });
}

function* sourceConflicts(value: unknown): Generator<Conflict> {
  for (const [now, before] of [
    ['odyn', 'supervisor'],
    ['sleeve', 'wrapper'],
  ] as const) {
    const sources = get(value, 'sources');
    if ((get(sources, now) ?? null) !== null && (get(sources, before) ?? null) !== null) {
      const found = `both "${now}" and "${before}", which are two names of one key`;
      yield { path: ['sources', before], found, allowed: `one of the two, best "${now}"` };
    }
  }
}

function* tlsConflicts(value: unknown): Generator<Conflict> {
  const ingress = get(value, 'ingress');
  if (!Array.isArray(ingress)) return;
  for (const [index, entry] of ingress.entries()) {
    const tls = get(entry, 'tls');
    if (!isMap(tls)) continue;
    const path = ['ingress', index, 'tls'];
    const given = ['key_file', 'cert_file', 'certificates'].filter((key) => isGiven(tls, [key]));
    const allowed = 'key_file and cert_file, or certificates';
    if (given.length === 0) yield { path, found: 'a port with TLS, but no certificate', allowed };
    else if (given.includes('certificates') && given.length > 1) {
      yield { path: [...path, 'certificates'], found: `certificates beside ${given[0]}`, allowed };
    } else if (given.length === 1 && given[0] !== 'certificates') {
      const missing = given[0] === 'key_file' ? 'cert_file' : 'key_file';
      yield { path: [...path, missing], found: `nothing beside ${given[0]}`, allowed };
    }
    const certificates = get(tls, 'certificates');
    if (!Array.isArray(certificates)) continue;
    for (const [position, certificate] of certificates.entries()) {
      const sources = CERTIFICATE_SOURCES.filter((source) => isGiven(certificate, [source]));
      if (sources.length === 1 || !isMap(certificate)) continue;
      const found = sources.length === 0 ? 'a certificate without a source' : sources.join(' and ');
      yield { path: [...path, 'certificates', position], found, allowed: `one of ${CERTIFICATE_SOURCES.join(', ')}` };
    }
  }
}

function* healthConflicts(value: unknown): Generator<Conflict> {
  const health = get(value, 'health');
  if (!isMap(health)) return;
  const kinds = ['tcp', 'http'].filter((kind) => (get(health, kind) ?? null) !== null);
  if (kinds.length !== 1) {
    const found = kinds.length === 0 ? 'a health check that checks nothing' : 'both "tcp" and "http"';
    yield { path: ['health'], found, allowed: 'exactly one of tcp, http' };
  }
  for (const kind of kinds) {
    const port = get(health, kind, 'port');
    const ours = [...ports(value)].find((other) => other.port === port && other.path[0] !== 'ingress');
    if (ours === undefined) continue;
    const found = `port ${port}, at which ${showPath(ours.path)} lets Enclaver itself listen`;
    yield { path: ['health', kind, 'port'], found, allowed: 'a port of the application' };
  }
}

function get(value: unknown, ...path: string[]): unknown {
  let inner = value;
  for (const key of path) inner = isMap(inner) && Object.hasOwn(inner, key) ? inner[key] : undefined;
  return inner;
}

function isGiven(value: unknown, path: readonly PropertyKey[]): boolean {
  return (get(value, ...path.map(String)) ?? null) !== null;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `ingress[0].listen_port`; a key that is no plain word stands as `["such one"]`, cut when it is long. */
export function showPath(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) => {
      if (typeof key === 'number') return `[${key}]`;
      const text = String(key);
      if (!/^[\w-]+$/.test(text) || text.length > MAX_SHOWN_LENGTH) {
        return `[${JSON.stringify(text.slice(0, MAX_SHOWN_LENGTH))}]`;
      }
      return index === 0 ? text : `.${text}`;
    })
    .join('');
}
