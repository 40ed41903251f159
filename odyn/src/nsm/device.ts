import { openSync } from 'node:fs';
import { getSystemErrorMessage } from 'node:util';
import { NsmError, type NsmTransport } from '@enclaver/attestation/nsm';
import { addon } from '../system/addon.ts';

/** The device of Linux's driver `nsm`. */
export const NSM_DEVICE = '/dev/nsm';

/**
 * Requests to the driver, through the ioctl of `linux/nsm.h`; they wait on a thread of Node's pool. Undefined where there is
 * no device.
 */
export function deviceTransport(path: string = NSM_DEVICE): NsmTransport | undefined {
  const fd = openDevice(path);
  if (fd === undefined) return undefined;
  return async (request) => {
    const answer = await addon().nsmRequest(fd, request);
    if (typeof answer !== 'number') return answer;
    throw new NsmError('NSM_UNREACHABLE', `${path} failed: ${getSystemErrorMessage(answer)}`);
  };
}

function openDevice(path: string): number | undefined {
  try {
    // For as long as this process lives
    return openSync(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
