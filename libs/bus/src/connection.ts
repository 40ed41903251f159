import { type ConnectionOptions, connect, ErrorCode, type NatsConnection, NatsError } from 'nats';
import { BusError } from './bus-error.ts';
import type { BusCredentials } from './credentials.ts';
import { limits } from './limits.ts';
import { subjects } from './subjects.ts';

/** `caPem`: the CA itself in place of its file. */
type ConnectionCredentials = BusCredentials & { caPem?: string | undefined };

/** Connects as the file says; a connection that was there once is taken up again for ever. */
export async function openConnection(source: string, credentials: ConnectionCredentials): Promise<NatsConnection> {
  try {
    return await connect({
      servers: credentials.url,
      name: source,
      ...(credentials.user === undefined
        ? {}
        : { user: credentials.user, inboxPrefix: subjects.inboxPrefix(credentials.user) }),
      ...(credentials.password === undefined ? {} : { pass: credentials.password }),
      ...tlsOptions(credentials),
      timeout: limits.connectTimeoutMs,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      noAsyncTraces: true,
    });
  } catch (cause) {
    const refused = cause instanceof NatsError && cause.code === ErrorCode.AuthorizationViolation;
    throw new BusError(
      refused
        ? {
            code: 'BUS_REFUSED',
            message: `the NATS server at ${credentials.url} refused the credentials`,
            remedy: 'use the credentials file of the stack that runs this server',
          }
        : {
            code: 'BUS_UNREACHABLE',
            message: `no NATS server answers at ${credentials.url}: ${(cause as Error).message}`,
            remedy:
              'start the stack with `enclaver up`, or leave ENCLAVER_BUS unset to have `enclaver run` start its own',
          },
      { cause },
    );
  }
}

/** `tls://` asks for TLS: a server without it is not talked to, and sees no password. */
function tlsOptions({ url, ca, caPem, cert, key }: ConnectionCredentials): Pick<ConnectionOptions, 'tls'> {
  if (!url.startsWith('tls:')) return {};
  // The client names no host that is an address to Node, which would check the certificate against `localhost`
  const checked = { host: new URL(url).hostname.replace(/^\[|\]$/g, '') };
  return {
    tls: {
      ...checked,
      ...(ca === undefined ? {} : { caFile: ca }),
      ...(caPem === undefined ? {} : { ca: caPem }),
      ...(cert === undefined ? {} : { certFile: cert }),
      ...(key === undefined ? {} : { keyFile: key }),
    },
  };
}

/** `PERMISSIONS_VIOLATION` of the server, as ours. */
export function denied(context: { operation: string; subject: string } | undefined, cause?: unknown): BusError {
  return new BusError(
    {
      code: 'BUS_DENIED',
      message: `the NATS server lets this user not ${context?.operation ?? 'use'} ${context?.subject ?? 'this subject'}`,
      remedy: 'use the credentials of the part that does this; the table is in libs/bus/src/permissions.ts',
    },
    { cause },
  );
}

/** What came of a request, as ours. */
export function requestError(service: string, operation: string, timeoutMs: number, cause: unknown): BusError {
  const code = cause instanceof NatsError ? cause.code : undefined;
  if (code === ErrorCode.NoResponders) {
    return new BusError(
      {
        code: 'BUS_NO_SERVICE',
        message: `no ${service} answers on the bus`,
        remedy: `start it: \`enclaver up\` runs all services, \`docker compose up ${service}\` this one`,
      },
      { cause },
    );
  }
  if (cause instanceof NatsError && code === ErrorCode.PermissionsViolation) {
    return denied(cause.permissionContext, cause);
  }
  if (code === ErrorCode.Timeout) {
    return new BusError(
      { code: 'BUS_TIMEOUT', message: `${service} did not answer ${operation} within ${timeoutMs} ms` },
      { cause },
    );
  }
  return new BusError(
    { code: 'BUS_UNREACHABLE', message: `request to ${service} failed: ${(cause as Error).message}` },
    { cause },
  );
}
