import type { Client } from './message.ts';
import type { RequestErrorCode } from './request-error.ts';

/** `refused`: no enclave was asked. `limited`, `busy`: over a bound of the enclave, on its rate or on its requests. */
export type RequestOutcome = 'answered' | 'aborted' | 'failed' | 'timedOut' | 'busy' | 'limited' | 'refused';

/** One request, for those who count and log: filled in on its way. */
export interface RequestEntry {
  readonly client: Client;
  readonly method: string;
  /** As the client sent them; '' where nobody could read them. */
  readonly authority: string;
  readonly target: string;
  readonly startedAt: number;
  /** Whom it was for, as soon as that is known. */
  enclave: { readonly id: string; readonly name: string; readonly listenPort: number } | undefined;
  /** 0 while there is no answer. */
  status: number;
  /** The answer is ours, and not the enclave's. */
  code: RequestErrorCode | undefined;
  /** Of the bodies, and of what an upgraded connection carried: into the enclave and out of it. */
  bytesIn: number;
  bytesOut: number;
  outcome: RequestOutcome;
}

export type OnRequestEnd = (entry: RequestEntry) => void;

export function entryOf(client: Client, method = '', authority = '', target = ''): RequestEntry {
  const answer = { enclave: undefined, status: 0, code: undefined, bytesIn: 0, bytesOut: 0 } as const;
  return { client, method, authority, target, startedAt: performance.now(), ...answer, outcome: 'refused' };
}
