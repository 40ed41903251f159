import assert from 'node:assert/strict';
import type { VsockError, VsockTransport } from '@enclaver/vsock';

/** As many as there are of TCP; of vsock there are 2^32, too many to try. */
const PORTS = 65_535;
const AT_A_TIME = 32;

/** Ports of an enclave that take a connection, in order; all others refuse it. */
export async function openPorts(transport: VsockTransport): Promise<number[]> {
  const open: number[] = [];
  let next = 1;
  const scan = async (): Promise<void> => {
    while (next <= PORTS) {
      const port = next++;
      const stream = await transport.connect(port).catch(({ code }: VsockError) => {
        assert.equal(code, 'CONNECT_REFUSED', String(port));
      });
      if (stream === undefined) continue;
      open.push(port);
      stream.destroy();
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, scan));
  return open.sort((a, b) => a - b);
}
