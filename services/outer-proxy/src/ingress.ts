import { once } from 'node:events';
import { chmod, lstat } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { EnclaveRecord, PublishedPort } from '@enclaver/bus';
import type { ConnectionEnd, ListenAddress, Relay, RelayGroup, RelayRoute, VsockTransport } from '@enclaver/vsock';
import type { Share } from './http/share.ts';
import { limits } from './limits.ts';
import { ProxyError } from './proxy-error.ts';

/** What a listener leads to: an enclave, by the way to it, and with all its connections as one group. */
export interface Destination {
  readonly record: EnclaveRecord;
  readonly transport: VsockTransport;
  readonly group: RelayGroup;
  /** The same for its requests of HTTP mode. */
  readonly share: Share;
  /** Told of each connection at its end, where there is an access log. */
  readonly onConnectionEnd?: ((published: PublishedPort, end: ConnectionEnd) => void) | undefined;
}

/** How a listener comes about. */
export interface Opening {
  /** The port is the enclave's already, and perhaps still open in the outer-proxy that this one takes over from. */
  readonly held: boolean;
  /** The listening socket of another outer-proxy, to go on with. It stays the caller's. */
  readonly descriptor?: number | undefined;
}

/** A published port that is listened at: a listener of its own, or a share of an HTTP listener (`http/`). */
export interface Ingress {
  readonly published: PublishedPort;
  /** The listening socket, for another outer-proxy. */
  readonly descriptor: number;
  stats(): object;
  /** Times that the listener paused for want of descriptors or memory. */
  readonly acceptErrors: number;
  /** New connections go to that enclave from now on, at the same port inside; those that are open stay. */
  retarget(to: Destination): Promise<void>;
  /** Takes no more; those that are open get `drainMs`. `shared`: another outer-proxy goes on at the same socket. */
  close(options: { drainMs: number; shared: boolean }): Promise<void>;
}

/** One listener, TCP or Unix, whose connections end at a port inside the enclave; bytes pass natively, untouched. */
class RelayedPort implements Ingress {
  readonly published: PublishedPort;
  readonly #route: RelayRoute;

  constructor(published: PublishedPort, route: RelayRoute) {
    this.published = published;
    this.#route = route;
  }

  get descriptor(): number {
    return this.#route.descriptor;
  }

  stats(): object {
    return this.#route.stats();
  }

  get acceptErrors(): number {
    return this.#route.stats().acceptErrors;
  }

  async retarget(to: Destination): Promise<void> {
    this.#route.retarget(to.transport.endpoint(this.published.listenPort), connectionsOf(to, this.published));
  }

  async close(options: { drainMs: number; shared: boolean }): Promise<void> {
    await this.#route.close(options);
  }
}

/**
 * Opens a listener. With `reportPeer` the enclave first hears who connects (PROXY protocol v2), and decides.
 * Errors: `PORT_IN_USE`, `PORT_DENIED`, `ADDRESS_UNAVAILABLE`, `PATH_IN_USE`, `LISTEN_FAILED`.
 */
export async function openIngress(
  relay: Relay,
  to: Destination,
  asked: PublishedPort,
  { held, descriptor }: Opening,
): Promise<Ingress> {
  const { listenPort, path, reportPeer = false } = asked;
  const isNew = !held && descriptor === undefined;
  const port = isNew && path === undefined ? await freePort(asked) : asked.port;
  if (isNew && path !== undefined) await freePath(path);
  const address: ListenAddress =
    path === undefined
      ? { type: 'tcp', host: asked.host, port, reusePort: true, descriptor }
      : { type: 'unix', path, descriptor };
  // The port that was taken goes into the log
  const published = { ...asked, port };
  try {
    const route = await relay.listen(address, to.transport.endpoint(listenPort), {
      maxConnections: limits.ingressConnections,
      connectTimeoutMs: limits.ingressConnectMs,
      idleTimeoutMs: limits.idleMs,
      proxyHeader: reportPeer,
      ...connectionsOf(to, published),
    });
    published.port = route.address.port ?? port;
    // The process's own mask keeps all others out
    if (path !== undefined && descriptor === undefined) await chmod(path, limits.socketMode);
    return new RelayedPort(published, route);
  } catch (cause) {
    throw listenError(asked, cause);
  }
}

function connectionsOf({ group, onConnectionEnd }: Destination, published: PublishedPort) {
  if (onConnectionEnd === undefined) return { group };
  return { group, onConnectionEnd: (end: ConnectionEnd) => onConnectionEnd(published, end) };
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

/** A socket that nobody listens at is taken for one that was left behind, and replaced; anything else is left alone. */
async function freePath(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  const remedy = 'publish it at another path, or remove what is there';
  if (!found.isSocket()) throw new ProxyError('PATH_IN_USE', `${path} exists and is no socket`, remedy);
  const probe = connect({ path });
  const isServed = await new Promise<boolean>((resolve) => {
    probe.once('connect', () => resolve(true));
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
  probe.destroy();
  if (isServed) throw new ProxyError('PATH_IN_USE', `another program or enclave listens at ${path}`, remedy);
}

export function listenError({ host, port, path, listenPort }: PublishedPort, cause: unknown): ProxyError {
  if (cause instanceof ProxyError) return cause;
  const place = path ?? `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const code = (cause as { code?: unknown }).code;
  const errno = (cause as { errno?: unknown }).errno;
  const options = { cause };
  if (code === 'EADDRINUSE' || code === 'ADDRESS_IN_USE') {
    const remedy = `publish it elsewhere: -p ${host}:<free port>:${listenPort}, or port 0 for any free one`;
    return new ProxyError('PORT_IN_USE', `${place} is in use by another program or enclave`, remedy, options);
  }
  if (code === 'EACCES' || errno === 13) {
    const remedy =
      path === undefined
        ? 'publish it on a port from 1024, or give the outer-proxy the right to bind low ports'
        : 'publish it in a folder that the outer-proxy may write to';
    return new ProxyError('PORT_DENIED', `the outer-proxy may not listen on ${place}`, remedy, options);
  }
  if (code === 'EADDRNOTAVAIL') {
    const remedy = 'name an address of this machine with -p, or none for all of them';
    return new ProxyError('ADDRESS_UNAVAILABLE', `${host} is not an address of this machine`, remedy, options);
  }
  return new ProxyError('LISTEN_FAILED', `cannot listen on ${place}: ${(cause as Error).message}`, undefined, options);
}
