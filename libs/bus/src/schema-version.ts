import { BusError } from './bus-error.ts';

/**
 * Version of all schemas of the bus: in the `dataschema` of every message, and in the metadata of every service. A minor
 * version adds events, operations and optional fields; what a closed list of values may hold changes with the major one, and
 * with that the subjects (`enclaver.v2.…`).
 */
export const SCHEMA_VERSION = '1.1';

const PREFIX = 'urn:enclaver:bus:';

/** The `dataschema` attribute of CloudEvents: a URI. */
export const DATA_SCHEMA = `${PREFIX}${SCHEMA_VERSION}`;

/**
 * Takes every minor version of this major one, and messages that name none.
 * Errors: `BUS_SCHEMA_UNSUPPORTED`.
 */
export function checkDataSchema(uri: string | undefined): void {
  if (uri === undefined) return;
  const major = /^urn:enclaver:bus:(\d+)\.\d+$/.exec(uri)?.[1];
  if (major === SCHEMA_VERSION.split('.')[0]) return;
  throw new BusError({
    code: 'BUS_SCHEMA_UNSUPPORTED',
    message: `a message has the schema ${uri}; this program understands ${PREFIX}${SCHEMA_VERSION.split('.')[0]}.*`,
    remedy: 'bring the command, the services and the programs that read the bus to one version',
  });
}
