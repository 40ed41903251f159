import { limits } from '../limits.ts';
import { OdynError } from '../odyn-error.ts';
import { readBounded } from './read-bounded.ts';

/** The parent instance, as a Nitro enclave sees it. */
const NITRO_PARENT_CID = 3;
const PARENT_CID = 'enclaver.parent_cid=';
const NSM_OVER_VSOCK = 'enclaver.nsm=vsock';
const HYBRID_VSOCK = 'enclaver.vsock=hybrid';

/**
 * CID of the parent. A local emulator appends another one to the kernel command line; on Nitro the command line is
 * measured and nothing can be appended.
 * @throws OdynError CMDLINE_INVALID
 */
export function parentCid(cmdline: string): number {
  const value = cmdline
    .split(/\s+/)
    .findLast((word) => word.startsWith(PARENT_CID))
    ?.slice(PARENT_CID.length);
  if (value === undefined) return NITRO_PARENT_CID;
  const cid = Number(value);
  if (!/^\d{1,10}$/.test(value) || cid > 0xfffffffe) {
    throw new OdynError('CMDLINE_INVALID', `kernel command line: ${PARENT_CID}"${value}" is no CID (0 to 4294967294)`);
  }
  return cid;
}

/** Whether the vsock device ends in Unix sockets on the parent, across which no half-close goes; never so on Nitro. */
export function isHybridVsock(cmdline: string): boolean {
  return cmdline.split(/\s+/).includes(HYBRID_VSOCK);
}

/** Whether the parent serves a simulator of the NSM, which then stands in for any device; never so on Nitro. */
export function hasSimulatedNsm(cmdline: string): boolean {
  return cmdline.split(/\s+/).includes(NSM_OVER_VSOCK);
}

export function readCmdline(path = '/proc/cmdline'): string {
  return readBounded(path, limits.cmdlineBytes).toString('latin1').trim();
}
