import { Nsm, streamTransport } from '@enclaver/attestation/nsm';
import type { VsockTransport } from '@enclaver/vsock';
import { NSM_PORT } from '@enclaver/wire';
import { hasSimulatedNsm } from '../bootstrap/cmdline.ts';
import { limits } from '../limits.ts';
import { OdynError } from '../odyn-error.ts';

/**
 * The NSM of this enclave: the simulator that a local emulator serves. Undefined where there is none. One client for the whole
 * of odyn: it lets one request at a time through, as the driver does.
 */
export function openNsm(transport: VsockTransport, cmdline: string): Nsm | undefined {
  if (!hasSimulatedNsm(cmdline)) return undefined;
  return new Nsm(streamTransport(() => transport.connect(NSM_PORT, { timeoutMs: limits.nsmConnectMs })));
}

/** The NSM, for a part of the manifest that cannot do without. @throws OdynError NSM_MISSING */
export function requireNsm(nsm: Nsm | undefined, section: string): Nsm {
  if (nsm !== undefined) return nsm;
  throw new OdynError(
    'NSM_MISSING',
    `the manifest's section "${section}" needs the Nitro Secure Module; there is none`,
    {
      remedy: 'run the image as an enclave on Nitro, or with `enclaver run`, which simulates the device',
    },
  );
}
