import type { Readable, Writable } from 'node:stream';

/**
 * Passes a body on to its end, and resolves when all of it is written. Rejects when the body breaks off, or when nobody takes it any more;
 * either side is then left to the caller. `stream.pipeline` does the same at several times the cost, which small bodies feel.
 */
export function pass(body: Readable, into: Writable, onBytes: (count: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const brokeOff = (cause?: Error): void => reject(cause ?? new Error('the body broke off'));
    body.on('data', (chunk: Buffer) => {
      onBytes(chunk.length);
      if (!into.write(chunk)) body.pause();
    });
    let isWhole = false;
    body.once('end', () => {
      isWhole = true;
      into.end();
    });
    body.once('error', brokeOff);
    body.once('close', () => {
      if (!body.readableEnded) brokeOff();
    });
    into.on('drain', () => body.resume());
    // A stream of HTTP/2 that its client cancels finishes, too
    const onGone = (): void =>
      isWhole && into.writableFinished ? resolve() : reject(new Error('nobody takes the body'));
    into.once('finish', onGone);
    into.once('error', brokeOff);
    into.once('close', onGone);
  });
}
