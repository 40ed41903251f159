import { Nsm, streamTransport } from '@enclaver/attestation/nsm';
import type { VsockTransport } from '@enclaver/vsock';
import { NSM_PORT } from '@enclaver/wire';
import { hasSimulatedNsm } from '../bootstrap/cmdline.ts';
import { limits } from '../limits.ts';
import { OdynError } from '../odyn-error.ts';
import { deviceTransport } from './device.ts';

/** What answers as the Nitro Secure Module of this enclave. */
export interface OpenedNsm {
  /** One client for the whole of odyn: it lets one request at a time through, as the driver does. */
  readonly nsm: Nsm;
  /** A simulator is as good as its process outside, and its random bytes are known there. */
  readonly origin: 'device' | 'simulator';
}

/** The device; or the simulator that a local emulator serves, when its command line says so. Undefined where there is neither. */
export function openNsm(transport: VsockTransport, cmdline: string): OpenedNsm | undefined {
  if (hasSimulatedNsm(cmdline)) {
    const connect = () => transport.connect(NSM_PORT, { timeoutMs: limits.nsmConnectMs });
    return { nsm: new Nsm(streamTransport(connect)), origin: 'simulator' };
  }
  const device = deviceTransport();
  return device === undefined ? undefined : { nsm: new Nsm(device), origin: 'device' };
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
