import type { Duplex } from 'node:stream';
import { NsmError } from './errors.ts';
import { encodeFrame, readFrame } from './frame.ts';
import { CALL_TIMEOUT_MS } from './limits.ts';
import type { NsmTransport } from './nsm.ts';

/**
 * Carries requests over streams, each over a new one: to a simulator that is served by `SimulatorServer`. Rejects with
 * NsmError NSM_FRAME, NSM_TIMEOUT after 120 s, and what `connect` and its stream fail with.
 */
export function streamTransport(connect: () => Duplex | Promise<Duplex>): NsmTransport {
  return async (request) => {
    const stream = await connect();
    // A failure rejects what reads below. One that comes only while the stream is closed is of no use to anybody.
    stream.on('error', () => undefined);
    const timer = setTimeout(() => {
      stream.destroy(new NsmError('NSM_TIMEOUT', `no answer came over the stream within ${CALL_TIMEOUT_MS} ms`));
    }, CALL_TIMEOUT_MS);
    try {
      stream.write(encodeFrame(request));
      return await readFrame(stream);
    } finally {
      clearTimeout(timer);
      stream.destroy();
    }
  };
}
