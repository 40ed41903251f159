import { createHash, type Hash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import type { HashRequest } from './hash-thread.ts';

/** The thread of a `HashThread`: answers each request in turn, with a digest or, to bytes, with nothing in it. */

const NOTHING = new Uint8Array(0);
const hashes = new Map<string, Hash>();

parentPort?.on('message', ({ name, bytes }: HashRequest) => {
  const hash = hashes.get(name) ?? createHash('sha384');
  if (bytes !== undefined) hashes.set(name, hash.update(bytes));
  parentPort?.postMessage(bytes === undefined ? hash.digest() : NOTHING);
});
