import { isIP } from 'node:net';
import { addon, type NativeEndpoint } from './addon.ts';
import { errnoName, VsockError } from './errors.ts';

/** Any CID, as a listener's address. Values of linux/vm_sockets.h; 3 is the parent instance as a Nitro enclave sees it. */
export const CID_ANY = 0xffffffff;
export const CID_LOCAL = 1;
export const CID_HOST = 2;
export const CID_PARENT = 3;

/**
 * An address the relay can dial by itself. `host` is an IP literal.
 * `connectPort` makes a Unix socket a Firecracker-style vsock device: `CONNECT <port>\n` is sent and `OK <n>\n` awaited
 * first, and the stream has no half-close. `hybrid` says the same of an AF_VSOCK address behind such a device.
 */
export type Endpoint =
  | { readonly type: 'tcp'; readonly host: string; readonly port: number }
  | { readonly type: 'vsock'; readonly cid: number; readonly port: number; readonly hybrid?: boolean }
  | { readonly type: 'unix'; readonly path: string; readonly connectPort?: number };

/**
 * An address the relay can listen at. Peers whose CID is not in `peerCids` are closed at once and counted as refused.
 * A stale socket file at a Unix path is unlinked first; `hybrid` says that the streams come through a vsock device with
 * Unix sockets and have no half-close. `descriptor` is a socket that listens there already, of another process: it is
 * listened at in place of a new one, and stays the caller's to close.
 */
export type ListenAddress = { readonly descriptor?: number | undefined } & (
  | { readonly type: 'tcp'; readonly host: string; readonly port: number; readonly reusePort?: boolean }
  | {
      readonly type: 'vsock';
      readonly port: number;
      readonly peerCids?: readonly number[];
      readonly hybrid?: boolean;
    }
  | { readonly type: 'unix'; readonly path: string; readonly hybrid?: boolean }
);

export function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffffffff;
}

/** "tcp 127.0.0.1:80", "vsock 16:5005", "unix /run/x port 5005": for messages. */
export function describeAddress(address: Endpoint | ListenAddress): string {
  switch (address.type) {
    case 'tcp':
      return `tcp ${isIP(address.host) === 6 ? `[${address.host}]` : address.host}:${address.port}`;
    case 'vsock':
      return `vsock ${'cid' in address ? address.cid : 'any'}:${address.port}`;
    case 'unix':
      return 'connectPort' in address
        ? `vsock unix ${address.path} port ${address.connectPort}`
        : `unix ${address.path}`;
  }
}

/**
 * `struct sockaddr_*` of an address, as the kernel takes it.
 * @throws VsockError ADDRESS_INVALID
 */
export function sockaddr(address: Endpoint | ListenAddress): Buffer {
  const where = describeAddress(address);
  if (address.type === 'unix')
    return checked(where, address.path.includes('\0') ? -22 : addon().addressUnix(address.path));
  const highest = address.type === 'tcp' ? 65535 : 0xffffffff;
  if (!isU32(address.port) || address.port > highest)
    throw new VsockError('ADDRESS_INVALID', `${where}: a port is a whole number from 0 to ${highest}`);
  if (address.type === 'vsock') return vsockSockaddr('cid' in address ? address.cid : CID_ANY, address.port);
  if (isIP(address.host) === 0 || address.host.includes('%'))
    throw new VsockError('ADDRESS_INVALID', `${where}: the host must be an IPv4 or IPv6 literal without a zone`);
  return checked(where, addon().addressInet(address.host, address.port));
}

/** `struct sockaddr_vm` (16 bytes: family, reserved, port, cid, flags, zero; the port comes before the CID). */
export function vsockSockaddr(cid: number, port: number, flags = 0): Buffer {
  const where = `vsock ${cid}:${port}`;
  if (!isU32(cid) || !isU32(port) || !Number.isInteger(flags) || flags < 0 || flags > 255)
    throw new VsockError('ADDRESS_INVALID', `${where}: CID and port are unsigned 32-bit numbers, flags one byte`);
  return checked(where, addon().addressVsock(cid, port, flags));
}

function checked(where: string, result: Buffer | number): Buffer {
  if (typeof result !== 'number') return result;
  throw new VsockError('ADDRESS_INVALID', `${where} is no valid address (${errnoName(-result)})`, { errno: -result });
}

export function nativeEndpoint(endpoint: Endpoint): NativeEndpoint {
  const port = endpoint.type === 'unix' ? endpoint.connectPort : undefined;
  if (port !== undefined && !isU32(port))
    throw new VsockError('ADDRESS_INVALID', `${describeAddress(endpoint)}: the port is no unsigned 32-bit number`);
  return [sockaddr(endpoint), port ?? null, !carriesHalfClose(endpoint)];
}

/** Whether the end of one direction can be told across a stream to this address while the other goes on. */
export function carriesHalfClose(endpoint: Endpoint): boolean {
  return endpoint.type === 'unix' ? endpoint.connectPort === undefined : endpoint.type === 'tcp' || !endpoint.hybrid;
}

/** This machine's own CID. @throws VsockError NO_VSOCK */
export function localCid(): number {
  const cid = addon().localCid();
  if (cid >= 0) return cid;
  throw new VsockError('NO_VSOCK', `/dev/vsock gives no CID (${errnoName(-cid)})`, {
    errno: -cid,
    remedy: 'load the vsock modules and pass /dev/vsock into the container',
  });
}
