import { readFile } from 'node:fs/promises';
import type { EnclaveRecord } from '@enclaver/bus';
import type { Supply } from '../backend.ts';

/** The host's memory in MiB. Machines take theirs page by page: what a running one has not touched yet is not free, either. */
export async function hostMemory(held: readonly EnclaveRecord[]): Promise<Supply> {
  const host = await readFile('/proc/meminfo', 'utf8');
  const untouched = await Promise.all(held.map(async ({ memoryMb, pid }) => memoryMb - (await residentMb(pid))));
  const promised = untouched.reduce((sum, mb) => sum + Math.max(0, mb), 0);
  return {
    total: mebibytes(host, 'MemTotal'),
    free: Math.max(0, mebibytes(host, 'MemAvailable') - promised),
    remedy: 'ask for less with --memory-mb, stop an enclave, or end other programs of this host',
  };
}

async function residentMb(pid: number | undefined): Promise<number> {
  if (pid === undefined) return 0;
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return mebibytes(status, 'VmRSS');
}

/** A field of proc(5), where it is given in kB; 0 when it is not there, as for a process that has ended. */
function mebibytes(text: string, field: string): number {
  return Math.floor(Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) / 1024);
}
