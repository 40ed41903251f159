import type { Readable, Writable } from 'node:stream';

/**
 * Passes a body on. Its end and its breaking off are passed on, too; when the other side breaks, nothing happens to the body: its
 * sender may still be answered.
 */
export function pour(body: Readable, into: Writable): void {
  body.pipe(into);
  body.once('error', () => into.destroy());
  body.once('close', () => {
    if (!body.readableEnded) into.destroy();
  });
}
