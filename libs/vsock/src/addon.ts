import { createRequire } from 'node:module';
import { join } from 'node:path';
import { VsockError } from './errors.ts';

declare const pollHandle: unique symbol;
declare const relayHandle: unique symbol;
declare const routeHandle: unique symbol;
declare const groupHandle: unique symbol;
export type PollHandle = { readonly [pollHandle]: true };
export type RelayHandle = { readonly [relayHandle]: true };
export type RouteHandle = { readonly [routeHandle]: true };
export type GroupHandle = { readonly [groupHandle]: true };

/** [address, connectPort, hybrid] */
export type NativeEndpoint = readonly [address: Buffer, connectPort: number | null, hybrid: boolean];
/** [fd, hybrid, endpoint, connectMs, head]: either a descriptor or an endpoint */
export type NativeSide = readonly [
  fd: number | null,
  hybrid: boolean,
  to: NativeEndpoint | null,
  connectMs: number,
  head: Uint8Array | null,
];

/** The functions of native/*.c. A negative number is -errno. */
export interface Addon {
  addressInet(host: string, port: number): Buffer | number;
  addressUnix(path: string): Buffer | number;
  addressVsock(cid: number, port: number, flags: number): Buffer | number;
  localCid(): number;
  socketConnect(address: Buffer, timeoutMs: number): number;
  socketListen(address: Buffer, backlog: number, inherited: number | null, reusePort: boolean): number;
  socketAccept(fd: number, peerCid: Uint32Array): number;
  socketRecv(fd: number, into: Uint8Array): number;
  socketSend(fd: number, bytes: Uint8Array): number;
  socketShutdown(fd: number): number;
  socketError(fd: number): number;
  socketPlace(): number;
  socketMove(fd: number, place: number): number;
  pollCreate(fd: number, callback: (events: number) => void): PollHandle | number;
  pollSet(poll: PollHandle, events: number): number;
  pollRef(poll: PollHandle, hold: boolean): number;
  pollClose(poll: PollHandle): number;
  relayCreate(
    threads: number,
    bufferSize: number,
    pendingLimit: number,
    /** 256 events of 6: type, id, reason, errno, bytes A→B, bytes B→A */
    words: Float64Array,
    callback: (count: number, firsts: Buffer[], reports: (string | number)[]) => (number | Buffer | null)[],
  ): RelayHandle | number;
  relayRef(relay: RelayHandle, hold: boolean): number;
  relayClose(relay: RelayHandle): number;
  relayListen(
    relay: RelayHandle,
    id: number,
    address: Buffer,
    backlog: number,
    reusePort: boolean,
    hybrid: boolean,
    peers: readonly number[] | null,
    target: NativeEndpoint,
    proxyHeader: boolean,
    reports: boolean,
    group: GroupHandle | null,
    inherited: number | null,
    /** maxConnections, connectMs, idleMs, intervalNs, burst, screenBytes, screenMs */
    bounds: readonly number[],
  ): RouteHandle | number;
  routeAddress(route: RouteHandle): Buffer | number;
  routeStats(route: RouteHandle, into: Float64Array): number;
  routeClose(relay: RelayHandle, route: RouteHandle, drainMs: number, shared: boolean): number;
  routeRetarget(route: RouteHandle, target: NativeEndpoint, group: GroupHandle | null): number;
  groupStats(group: GroupHandle, into: Float64Array): number;
  /** 0: it is in; 1: over the bound; 2: over the rate. */
  groupAdmit(group: GroupHandle): number;
  groupLeave(group: GroupHandle): number;
  groupPassed(group: GroupHandle, bytesIn: number, bytesOut: number): number;
  routeDescriptor(route: RouteHandle): number;
  /** bounds: maxConnections, intervalNs, burst, pendingBytes; rates: bytes per second of routes, of egress */
  relayGroup(relay: RelayHandle, bounds: readonly number[], rates: readonly number[]): GroupHandle | number;
  relayJoin(
    relay: RelayHandle,
    id: number,
    a: NativeSide,
    b: NativeSide,
    idleMs: number,
    group: GroupHandle | null,
    egress: boolean,
  ): number;
  joinCancel(relay: RelayHandle, id: number): number;
  channelListen(address: Buffer): number;
  channelConnect(address: Buffer): number;
  channelPeer(fd: number): number;
  channelSend(fd: number, bytes: Uint8Array, descriptors: readonly number[]): number;
  channelReceive(fd: number, into: Uint8Array, descriptors: number[]): number;
}

let loaded: Addon | undefined;

/**
 * The native part, loaded at first use: from ENCLAVER_VSOCK_ADDON, else from the package's own build folder.
 * @throws VsockError ADDON_MISSING
 */
export function addon(): Addon {
  if (loaded) return loaded;
  const path = process.env.ENCLAVER_VSOCK_ADDON ?? join(import.meta.dirname, `../build/vsock-${process.arch}.node`);
  try {
    loaded = createRequire(import.meta.url)(path) as Addon;
  } catch (cause) {
    throw new VsockError('ADDON_MISSING', `the native part of @enclaver/vsock could not be loaded from ${path}`, {
      cause,
      remedy: 'npm run build',
    });
  }
  return loaded;
}
