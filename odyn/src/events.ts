import { EventEmitter } from 'node:events';
import type { EnclaveFigures } from '@enclaver/wire';
import type { EndCause } from './launcher/end-cause.ts';

/** How the app ended, and where it is known who ended it. */
export type AppEnd = ({ readonly code: number } | { readonly signal: string }) & Partial<EndCause>;

/** What happens inside, under the names that the same things have on the bus outside. */
export interface OdynEvents {
  /** odyn serves its status; its parts and the app are being started. */
  starting: [];
  /** The app runs and listens at every ingress port; with a health check, it has passed. Again after `unhealthy`. */
  ready: [];
  /** The app has failed too many health checks. */
  unhealthy: [{ readonly reason: string }];
  /** How the clock is, in words: its source, and how it stands to the NSM. */
  clock: [{ readonly words: string }];
  /** Figures of the inside, where the manifest lets them out. */
  figures: [EnclaveFigures];
  /** The parent asked for a stop; the app has this long before it is killed. */
  stopping: [{ readonly graceMs: number }];
  exited: [AppEnd];
  /** The app was never started. */
  failed: [{ readonly error: string }];
}

export class Events extends EventEmitter<OdynEvents> {}
