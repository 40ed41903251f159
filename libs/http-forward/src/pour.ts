import type { Readable, Writable } from 'node:stream';

/**
 * Passes a body on. Its end and its breaking off are passed on, too; when the other side breaks, nothing happens to the body: its
 * sender may still be answered. `onBytes` is told of each piece.
 */
export function pour(body: Readable, into: Writable, onBytes?: (count: number) => void): void {
  body.pipe(into);
  if (onBytes !== undefined) body.on('data', (chunk: Buffer) => onBytes(chunk.length));
  body.once('error', () => into.destroy());
  body.once('close', () => {
    if (!body.readableEnded) into.destroy();
  });
}
