import { Fleet } from '@enclaver/bus/fleet';

/** Connects to the hub of the fleet. Errors: `FLEET_FILE_INVALID`, `FLEET_HUB_UNREACHABLE`, `BUS_REFUSED`. */
export function openFleet(): Promise<Fleet> {
  const credentials = process.env.ENCLAVER_FLEET ?? '/etc/enclaver/fleet/fleet.json';
  return Fleet.connect({ source: 'enclaver/cli', credentials });
}
