import type { VsockAddress } from '@enclaver/bus';
import { nativeTransport, unixTransport, type VsockTransport } from '@enclaver/vsock';

/** To and from one enclave, and no other. */
export function transportOf(vsock: VsockAddress): VsockTransport {
  return vsock.type === 'unix'
    ? unixTransport({ path: vsock.path })
    : nativeTransport({ cid: vsock.cid, peerCids: [vsock.cid] });
}
