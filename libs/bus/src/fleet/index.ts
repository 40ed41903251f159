export { Fleet, type FleetCredentials, type HostEnclaves, readFleetCredentials } from './fleet.ts';
export type { FleetNews } from './host-events.ts';
export { type HostLink, readHostLink } from './host-link.ts';
export { type HubConfig, natsHubConfig } from './hub-config.ts';
