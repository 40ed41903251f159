import type { Manifest } from '@enclaver/manifest';
import { limits } from '../limits.ts';
import { OdynError } from '../odyn-error.ts';

/** Who may have what of a machine's memory. */
export interface MemoryPlan {
  readonly appBytes: number;
  /** Open connections of a port with TLS whose entry names no number. */
  readonly tlsConnections: number;
  /** false: ports with TLS may have more connections than there is memory for, odyn's own included. */
  readonly coversTls: boolean;
}

/**
 * The app gets as much as is wanted, and at most what is free beside what odyn keeps for itself and for clients with TLS, whose bytes it
 * holds: whatever strangers send and leave unread, the app's memory is not touched.
 * @throws OdynError CGROUP
 */
export function planMemory(
  meminfo: string,
  { ingress, limits: { memoryMb } }: Pick<Manifest, 'ingress' | 'limits'>,
): MemoryPlan {
  const available = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(meminfo)?.[1]) * 1024;
  if (!(available > 0)) throw new OdynError('CGROUP', '/proc/meminfo does not say how much memory is available');
  const most = available - Math.min(limits.memoryReserveBytes, available * limits.memoryReserveShare);
  const wanted = memoryMb === undefined ? most : memoryMb * 1024 * 1024;
  const ports = ingress.filter(({ tls }) => tls !== undefined);
  const connections = ports.reduce((sum, { maxConnections }) => sum + (maxConnections ?? limits.tlsConnections), 0);
  const needed = connections * limits.tlsClientBytes;
  const kept = Math.min(needed, Math.max(available * limits.tlsMemoryShare, most - wanted));
  const part = needed === 0 ? 1 : kept / needed;
  const appBytes = Math.floor(Math.min(most - kept, wanted));
  const tlsConnections = Math.max(limits.tlsConnectionsLeast, Math.floor(limits.tlsConnections * part));
  const open = ports.reduce((sum, { maxConnections }) => sum + (maxConnections ?? tlsConnections), 0);
  return { appBytes, tlsConnections, coversTls: open * limits.tlsClientBytes <= available - appBytes };
}
