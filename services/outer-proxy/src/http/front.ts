import type { Relay } from '@enclaver/vsock';
import type { Logger } from 'pino';
import type { Limits } from '../limits.ts';
import type { OnRequestEnd, RequestEntry } from './request-entry.ts';
import type { Target } from './target.ts';
import type { TrustedProxies } from './trusted-proxies.ts';

/** What both versions of HTTP serve a listener's requests with. */
export interface Front {
  readonly relay: Relay;
  readonly logger: Logger;
  readonly limits: Limits;
  readonly onRequestEnd: OnRequestEnd;
  /** Load balancers whose word about a client is taken. */
  readonly trusted: TrustedProxies | undefined;
  /** False: connections are to end after the request that they carry. */
  readonly keepsAlive: boolean;
  /** The enclave for a request, which is noted in it. @throws RequestError */
  find(entry: RequestEntry, host: string, target: string): Target;
}
