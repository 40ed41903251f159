import { once } from 'node:events';
import { createServer } from 'node:net';
import type { PublishedPort } from '@enclaver/bus';
import type { Relay, RelayRoute, VsockTransport } from '@enclaver/vsock';
import { limits } from './limits.ts';
import { ProxyError } from './proxy-error.ts';

/**
 * A published port: a share of an HTTP listener (`http/`), or one TCP listener whose connections end at a port inside the enclave; bytes pass natively, untouched. With `reportPeer` the
 * enclave first hears who connects (PROXY protocol v2), and decides.
 */
export interface Ingress {
  readonly published: PublishedPort;
  readonly route: { stats(): object } & Pick<RelayRoute, 'close'>;
}

/**
 * Opens the listener. `held`: the port is the enclave's already, and perhaps still open in the outer-proxy that this one
 * takes over from. Errors: `PORT_IN_USE`, `PORT_DENIED`, `ADDRESS_UNAVAILABLE`, `LISTEN_FAILED`.
 */
export async function openIngress(
  relay: Relay,
  transport: VsockTransport,
  asked: PublishedPort,
  held: boolean,
): Promise<Ingress> {
  const { listenPort, host, reportPeer = false } = asked;
  const port = held ? asked.port : await freePort(asked);
  try {
    const route = await relay.listen({ type: 'tcp', host, port, reusePort: true }, transport.endpoint(listenPort), {
      maxConnections: limits.ingressConnections,
      connectTimeoutMs: limits.ingressConnectMs,
      idleTimeoutMs: limits.idleMs,
      proxyHeader: reportPeer,
    });
    return { published: { ...asked, port: route.address.port ?? port }, route };
  } catch (cause) {
    throw listenError(asked, cause);
  }
}

/**
 * The listener itself is opened with SO_REUSEPORT, so that a successor can take over while this process drains. With that
 * option a port that another enclave or program has would be shared in silence: a bind without it finds out first.
 */
export async function freePort(asked: PublishedPort): Promise<number> {
  const probe = createServer();
  try {
    probe.listen({ host: asked.host, port: asked.port, exclusive: true });
    await once(probe, 'listening');
  } catch (cause) {
    throw listenError(asked, cause);
  }
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  return typeof address === 'object' && address !== null ? address.port : asked.port;
}

export function listenError({ host, port, listenPort }: PublishedPort, cause: unknown): ProxyError {
  const place = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const code = (cause as { code?: unknown }).code;
  const options = { cause };
  if (code === 'EADDRINUSE' || code === 'ADDRESS_IN_USE') {
    const remedy = `publish it elsewhere: -p ${host}:<free port>:${listenPort}, or port 0 for any free one`;
    return new ProxyError('PORT_IN_USE', `${place} is in use by another program or enclave`, remedy, options);
  }
  if (code === 'EACCES') {
    const remedy = 'publish it on a port from 1024, or give the outer-proxy the right to bind low ports';
    return new ProxyError('PORT_DENIED', `the outer-proxy may not listen on ${place}`, remedy, options);
  }
  if (code === 'EADDRNOTAVAIL') {
    const remedy = 'name an address of this machine with -p, or none for all of them';
    return new ProxyError('ADDRESS_UNAVAILABLE', `${host} is not an address of this machine`, remedy, options);
  }
  return new ProxyError('LISTEN_FAILED', `cannot listen on ${place}: ${(cause as Error).message}`, undefined, options);
}
