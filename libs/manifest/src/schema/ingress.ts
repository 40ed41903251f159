import * as z from 'zod';
import { MAX_CONNECTION_RATE, MAX_IDLE_SECONDS, MAX_INGRESS_CONNECTIONS } from '../limits.ts';
import { type Clients, clients, normaliseClients } from './clients.ts';
import { port } from './fields.ts';
import { normaliseTls, type Tls, tls } from './tls.ts';

const count = (highest: number, description: string) =>
  z
    .int()
    .min(1)
    .max(highest)
    .meta({ description, allowed: `a whole number, 1 to ${highest}` });

const rateLimit = z
  .strictObject({
    connections_per_second: count(MAX_CONNECTION_RATE, 'New connections per second in the long run.'),
    burst: count(
      MAX_CONNECTION_RATE,
      'New connections that may come at once after a quiet time. Without it, as many as in one second.',
    ).nullish(),
  })
  .meta({ description: 'Bounds new connections; more are closed at once.', allowed: 'a map' });

const entry = z
  .strictObject({
    listen_port: port(
      'TCP port on the parent instance, vsock port of the enclave, and TCP port the application listens on.',
    ),
    tls: tls.nullish(),
    clients: clients.nullish(),
    proxy_protocol: z
      .boolean()
      .meta({
        description:
          "Gives the application a PROXY protocol v2 header with the client's address before each connection.",
        allowed: 'true or false',
        default: false,
      })
      .nullish(),
    max_connections: count(
      MAX_INGRESS_CONNECTIONS,
      'Open connections; more are closed at once. Without it, the bounds of docs/limits.md.',
    ).nullish(),
    rate_limit: rateLimit.nullish(),
    idle_timeout_seconds: count(MAX_IDLE_SECONDS, 'A connection without a byte for so long is cut.')
      .meta({ default: 3600 })
      .nullish(),
  })
  .meta({ description: 'One port.', allowed: 'a map' });

export const ingress = z
  .array(entry)
  .meta({ description: 'Ports that reach the application.', allowed: 'a list', default: [] });

export interface IngressPort {
  listenPort: number;
  tls?: Tls;
  clients?: Clients;
  proxyProtocol?: true;
  maxConnections?: number;
  rateLimit?: RateLimit;
  idleTimeoutSeconds?: number;
}

export interface RateLimit {
  connectionsPerSecond: number;
  burst: number;
}

export function normaliseIngress(raw: z.output<typeof entry>): IngressPort {
  const { connections_per_second: rate = 0, burst } = raw.rate_limit ?? {};
  return {
    listenPort: raw.listen_port,
    ...(raw.tls ? { tls: normaliseTls(raw.tls, raw.listen_port) } : {}),
    ...(raw.clients ? { clients: normaliseClients(raw.clients) } : {}),
    ...(raw.proxy_protocol ? { proxyProtocol: true } : {}),
    ...(raw.max_connections ? { maxConnections: raw.max_connections } : {}),
    ...(raw.rate_limit ? { rateLimit: { connectionsPerSecond: rate, burst: burst ?? rate } } : {}),
    ...(raw.idle_timeout_seconds ? { idleTimeoutSeconds: raw.idle_timeout_seconds } : {}),
  };
}

/** Whether the parent has to say who connects: somebody inside wants to know. */
export function needsPeer({ clients, proxyProtocol }: IngressPort): boolean {
  return clients !== undefined || proxyProtocol === true;
}
