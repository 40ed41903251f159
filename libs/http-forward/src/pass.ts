import type { Readable, Writable } from 'node:stream';
import type { Cancel } from './cancel.ts';

export interface PassEvents {
  /** Of each piece of the body. */
  onBytes?(count: number): void;
  /** All of the body has come: before the other side is ended. */
  onEnd?(): void;
}

/**
 * Passes a body on to its end, and resolves when all of it is written. Rejects when the body breaks off, when nobody takes it any more,
 * or at `signal`; either side is then left to the caller. `stream.pipeline` does the same at several times the cost, which small bodies feel.
 */
export function pass(
  body: Readable,
  into: Writable,
  signal: Cancel,
  { onBytes, onEnd }: PassEvents = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    let isWhole = false;
    const finish = (): void => {
      isWhole = true;
      onEnd?.();
      into.end();
    };
    const brokeOff = (cause?: Error): void => reject(cause ?? new Error('the body broke off'));
    // A stream of HTTP/2 that its client cancels finishes, too
    const onGone = (): void => {
      if (isWhole && into.writableFinished) resolve();
      else reject(new Error('nobody takes the body'));
    };
    // All of the body may have come, and wait for one who does not take it
    signal.addEventListener('abort', () => reject(new Error('the request has been ended')));
    if (signal.aborted) return reject(new Error('the request has been ended'));
    into.once('finish', onGone);
    into.once('error', brokeOff);
    into.once('close', onGone);
    into.on('drain', () => body.resume());
    // A stream of HTTP/2 without a body has ended by itself
    if (body.readableEnded) return finish();
    if (body.destroyed) return brokeOff(body.errored ?? undefined);
    body.on('data', (chunk: Buffer) => {
      onBytes?.(chunk.length);
      if (!into.write(chunk)) body.pause();
    });
    body.once('end', finish);
    body.once('error', brokeOff);
    body.once('close', () => {
      if (!body.readableEnded) brokeOff();
    });
  });
}
