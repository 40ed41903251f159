import type { Relay } from '@enclaver/vsock';
import type { Logger } from 'pino';
import type { Limits } from '../limits.ts';
import type { RouteTable } from './route-table.ts';

/** What both versions of HTTP serve a listener's requests with. */
export interface Front {
  readonly routes: RouteTable;
  readonly relay: Relay;
  readonly logger: Logger;
  readonly limits: Limits;
  /** Connections are to end after the request that they carry. */
  readonly isDraining: boolean;
}
