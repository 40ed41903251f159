import type { VsockTransport } from '@enclaver/vsock';
import { HEARTBEAT_BYTE, HEARTBEAT_PORT } from '@enclaver/wire';

/** Waits for init's heartbeat, which it gets back as a sign that it was heard. */
export interface Heartbeat {
  arrived: Promise<void>;
  close(): Promise<void>;
}

/** Listens before the machine starts: a guest that finds nobody does not come again. */
export async function listenForHeartbeat(transport: VsockTransport): Promise<Heartbeat> {
  const arrived = Promise.withResolvers<void>();
  const listener = await transport.listen(HEARTBEAT_PORT, (stream) => {
    stream.on('error', () => stream.destroy());
    stream.once('data', (chunk: Buffer) => {
      if (chunk[0] === HEARTBEAT_BYTE) {
        stream.end(chunk.subarray(0, 1));
        arrived.resolve();
      } else {
        stream.destroy();
      }
    });
  });
  return { arrived: arrived.promise, close: () => listener.close() };
}
