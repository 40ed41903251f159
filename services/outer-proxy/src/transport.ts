import type { VsockAddress } from '@enclaver/bus';
import { nativeTransport, unixTransport, type VsockTransport } from '@enclaver/vsock';

/** The way to an enclave. By AF_VSOCK only the enclave's own CID may dial us: all enclaves share our ports there. */
export function transportOf(address: VsockAddress): VsockTransport {
  return address.type === 'unix'
    ? unixTransport({ path: address.path })
    : nativeTransport({ cid: address.cid, peerCids: [address.cid] });
}
