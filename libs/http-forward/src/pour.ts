import type { Readable, Writable } from 'node:stream';

/**
 * Passes a body on. Its end and its breaking off are passed on, too; when the other side breaks, the rest of the body is read: its
 * sender may still be answered. `onBytes` is told of each piece.
 */
export function pour(body: Readable, into: Writable, onBytes?: (count: number) => void): void {
  body.pipe(into);
  if (onBytes !== undefined) body.on('data', (chunk: Buffer) => onBytes(chunk.length));
  body.once('error', () => into.destroy());
  // What nobody takes any more is read all the same: its sender may look for an answer only when all is written
  into.once('close', () => body.resume());
  body.once('close', () => {
    if (!body.readableEnded) into.destroy();
  });
}
