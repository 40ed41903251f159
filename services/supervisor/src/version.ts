import manifest from '../package.json' with { type: 'json' };

/** Version of this service, as it is registered on the bus. */
export const VERSION: string = manifest.version;
