import type { VsockStream } from '@enclaver/vsock';
import { decodeProxyHeader, type ProxyHeader } from '@enclaver/wire';
import { limits } from '../limits.ts';

/** Who connects, as the parent says, and what had come behind that. */
export interface Peer {
  readonly header: ProxyHeader;
  readonly rest: Buffer;
}

/**
 * Reads the PROXY header that the parent sends first on ports that ask for it; the stream is left paused behind it.
 * Rejects with the reason when there is none of a form that is read, or not in time: WireError, or an Error with its text.
 */
export function readPeer(stream: VsockStream): Promise<Peer> {
  return new Promise((resolve, reject) => {
    let bytes: Buffer | undefined;
    const settle = (): void => {
      clearTimeout(timer);
      stream.off('readable', onReadable).off('end', onEnd).off('close', onEnd);
    };
    const onEnd = (): void => {
      settle();
      reject(new Error('the connection ended before its PROXY header'));
    };
    const onReadable = (): void => {
      try {
        for (let piece = stream.read() as Buffer | null; piece !== null; piece = stream.read()) {
          bytes = bytes === undefined ? piece : Buffer.concat([bytes, piece]);
          const read = decodeProxyHeader(bytes);
          if (read === undefined) continue;
          settle();
          resolve({ header: read.header, rest: bytes.subarray(read.length) });
          return;
        }
      } catch (error) {
        settle();
        reject(error as Error);
      }
    };
    const timer = setTimeout(() => {
      settle();
      reject(new Error(`no PROXY header within ${limits.ingressPeerMs} ms`));
    }, limits.ingressPeerMs);
    stream.on('readable', onReadable).on('end', onEnd).on('close', onEnd);
  });
}
