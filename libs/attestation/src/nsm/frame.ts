import type { Readable } from 'node:stream';
import { NsmError } from './errors.ts';
import { MAX_ANSWER_BYTES } from './limits.ts';

/**
 * An NSM message on a stream: its length as u32, big-endian, and so many bytes. A connection carries one request and one
 * answer, each a frame, so nothing has to be resynchronised.
 */
const LENGTH_BYTES = 4;

/** Longest message of a frame. A request has less; one between the two bounds is refused by whom it is for. */
const MAX_FRAME_BYTES = MAX_ANSWER_BYTES;

export function encodeFrame(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(LENGTH_BYTES + message.length);
  frame.writeUInt32BE(message.length);
  frame.set(message, LENGTH_BYTES);
  return frame;
}

/**
 * The message of the one frame that the peer sends before it waits. The stream stays open. Throws NsmError NSM_FRAME, and what
 * the stream fails with.
 */
export async function readFrame(stream: Readable): Promise<Uint8Array> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length < LENGTH_BYTES) continue;
    const length = bytes.readUInt32BE();
    if (length > MAX_FRAME_BYTES) {
      throw new NsmError(
        'NSM_FRAME',
        `a frame of ${length} bytes was announced; at most ${MAX_FRAME_BYTES} are allowed`,
      );
    }
    const surplus = bytes.length - LENGTH_BYTES - length;
    if (surplus > 0) throw new NsmError('NSM_FRAME', `${surplus} bytes follow a frame of ${length}; none are allowed`);
    if (surplus === 0) return bytes.subarray(LENGTH_BYTES);
  }
  throw new NsmError('NSM_FRAME', `the stream ended after ${bytes.length} bytes of a frame`);
}
