import type { BusCredentials } from '@enclaver/bus';

export const RAW_SUBJECT = 'bench.raw';

/** Of the server of this benchmark, from an argument in JSON. */
export function credentialsOf(argument: string | undefined): BusCredentials {
  return JSON.parse(argument ?? '') as BusCredentials;
}
