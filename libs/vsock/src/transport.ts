import type { Socket } from 'node:net';
import type { Endpoint, ListenAddress } from './address.ts';
import { type ConnectOptions, connectStream } from './connect.ts';
import { adoptStream, StreamListener } from './listener.ts';
import { nodeSocket } from './node-socket.ts';
import { PeerListeners } from './peer-listeners.ts';
import type { VsockStream } from './stream.ts';

/** What a process listens at on the vsock. */
export interface StreamPort {
  /** The listening socket, to be given to another process. */
  readonly descriptor: number;
  /** Times that it paused for want of descriptors or memory. */
  readonly acceptErrors: number;
  /** Takes nothing for a moment. Missing where others would wait, too: on AF_VSOCK, whose ports all peers of a host share. */
  pause?(): void;
  /** `shared`: another process goes on at this very socket. */
  close(options?: { shared?: boolean }): Promise<void>;
}

export interface ListenOptions {
  /** A socket that listens there already, see `ListenAddress`. */
  descriptor?: number | undefined;
}

/** Ways to the other side of the vsock: another machine on AF_VSOCK, or a vsock device's Unix sockets. */
export interface VsockTransport {
  connect(port: number, options?: ConnectOptions): Promise<VsockStream>;
  listen(port: number, onStream: (stream: VsockStream) => void, options?: ListenOptions): Promise<StreamPort>;
  /** The same with sockets of Node's own, which TLS takes without JavaScript in between. Ports are not shared among peers. */
  listenSockets(port: number, onSocket: (socket: Socket) => void): Promise<StreamPort>;
  /** What to give the relay to dial `port` of the other side. */
  endpoint(port: number): Endpoint;
  /** What to give the relay to be dialled at `port`. */
  listenAddress(port: number): ListenAddress;
}

function transport(
  endpoint: (port: number) => Endpoint,
  listenAddress: (port: number) => ListenAddress,
): VsockTransport {
  return {
    endpoint,
    listenAddress,
    connect: (port, options) => connectStream(endpoint(port), options),
    listen: async (port, onStream, { descriptor } = {}) =>
      portOf(new StreamListener({ ...listenAddress(port), descriptor }, onStream, adoptStream)),
    listenSockets: async (port, onSocket) => portOf(new StreamListener(listenAddress(port), onSocket, nodeSocket)),
  };
}

function portOf(
  listener: Pick<StreamListener, 'descriptor' | 'acceptErrors' | 'close'> & { pause?(): void },
): StreamPort {
  return {
    descriptor: listener.descriptor,
    get acceptErrors() {
      return listener.acceptErrors;
    },
    ...(listener.pause ? { pause: () => listener.pause?.() } : {}),
    close: async (options) => listener.close(options),
  };
}

export interface NativeOptions {
  /** The other side. */
  cid: number;
  /** Listeners take only these peers; by default anyone. */
  peerCids?: readonly number[];
  /** The other side's device is one with Unix sockets, across which no half-close goes. */
  hybrid?: boolean;
}

/** The socket that peers share has no bound of its own: one peer would take the others' part of it. */
function sharedBy(hybrid: boolean): PeerListeners {
  return new PeerListeners((port, onStream, descriptor) => {
    const address = { type: 'vsock', port, hybrid, descriptor } as const;
    return new StreamListener(address, onStream, adoptStream, Number.POSITIVE_INFINITY);
  });
}

/** One per process, for each kind of stream: whoever listens for peers by name shares ports with the others that do. */
const peerListeners = { plain: sharedBy(false), hybrid: sharedBy(true) };

/** AF_VSOCK. With `peerCids` several transports of this process may listen at one port, each for its own peers. */
export function nativeTransport(options: NativeOptions): VsockTransport {
  const { cid, peerCids, hybrid = false } = options;
  const native = transport(
    (port) => ({ type: 'vsock', cid, port, hybrid }),
    (port) => (peerCids ? { type: 'vsock', port, peerCids, hybrid } : { type: 'vsock', port, hybrid }),
  );
  if (peerCids === undefined) return native;
  const listeners = hybrid ? peerListeners.hybrid : peerListeners.plain;
  return {
    ...native,
    listen: async (port, onStream, { descriptor } = {}) =>
      portOf(listeners.listen(port, peerCids, onStream, descriptor)),
  };
}

/**
 * A guest behind Firecracker or vhost-device-vsock: dialled through the socket at `path`, listened for at `path_<port>`.
 * No half-close goes across: the end of one direction is seen as the end of both.
 */
export function unixTransport(options: { path: string }): VsockTransport {
  const { path } = options;
  return transport(
    (port) => ({ type: 'unix', path, connectPort: port }),
    (port) => ({ type: 'unix', path: `${path}_${port}`, hybrid: true }),
  );
}

/** Where a guest's vsock is found on this host: the kernel's, by CID, or the socket of a vsock device. */
export type GuestAddress =
  | { readonly type: 'vsock'; readonly cid: number }
  | { readonly type: 'unix'; readonly path: string };

/** To and from one guest, and no other. */
export function transportTo(guest: GuestAddress): VsockTransport {
  return guest.type === 'unix'
    ? unixTransport({ path: guest.path })
    : nativeTransport({ cid: guest.cid, peerCids: [guest.cid] });
}
