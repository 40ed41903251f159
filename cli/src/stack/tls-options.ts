import { resolve } from 'node:path';
import type { ServerTls } from '@enclaver/bus';
import { CliError } from '../cli-error.ts';

/** Options of commands that write the configuration of a nats-server. */
export interface TlsOptions {
  tlsCert?: string;
  tlsKey?: string;
  tlsCa?: string;
  tlsClientCa?: string;
}

/** Errors: `USAGE`. */
export function tlsOf({ tlsCert, tlsKey, tlsCa, tlsClientCa }: TlsOptions): ServerTls | undefined {
  if (tlsCert !== undefined && tlsKey !== undefined) {
    const clientCa = tlsClientCa === undefined ? undefined : resolve(tlsClientCa);
    return { cert: resolve(tlsCert), key: resolve(tlsKey), clientCa };
  }
  if ([tlsCert, tlsKey, tlsCa, tlsClientCa].every((file) => file === undefined)) return undefined;
  throw new CliError('USAGE', 'TLS needs both --tls-cert and --tls-key', 'give both, or none of --tls-…');
}
