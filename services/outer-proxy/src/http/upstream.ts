import type { Duplex } from 'node:stream';
import type { Cancel } from '@enclaver/http-forward';
import type { Answer, Asked } from './message.ts';

/** The app's port inside, as one that answers requests. */
export interface Upstream {
  /** Settles with the head of the answer. Aborting `signal` ends it, before and after. @throws RequestError, HttpFault */
  ask(asked: Asked, signal: Cancel): Promise<Answer>;
  /** A request for another protocol: joined streams where the app agrees, else its answer. @throws RequestError, HttpFault */
  upgrade(asked: Asked, protocol: string, signal: Cancel): Promise<Upgraded | Answer>;
  /** Ends what is kept for further requests; those under way go on. */
  close(): void;
}

export interface Upgraded {
  readonly stream: Duplex;
  /** Bytes that came with the answer. */
  readonly first: Buffer;
  readonly headers: readonly string[];
}
