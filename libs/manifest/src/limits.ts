/** Largest manifest read. Real ones are under 10 KiB; the whole file is held in memory and measured into the image. */
export const MAX_MANIFEST_BYTES = 1 << 20;

/** Deepest nesting read. The deepest key of the schema is at depth 4; more would only serve to exhaust the stack. */
export const MAX_DEPTH = 16;

/** Most entries of lists and maps in one file. The YAML library compares each key with all others of its map. */
export const MAX_ENTRIES = 10_000;

/** How many times anchors may be expanded: the YAML library's own measure against exponential growth. */
export const MAX_ALIASES = 100;

/** Longest DNS name in text form (RFC 1035, section 2.3.4, without the root label). */
export const MAX_DOMAIN_LENGTH = 253;

/** Longest egress pattern: the longest domain, its closing dot, and a range of ports. */
export const MAX_PATTERN_LENGTH = MAX_DOMAIN_LENGTH + '.:10000-65535'.length;

/** Longest DNS label. */
export const MAX_LABEL_LENGTH = 63;

/** Longest repository name that registries take (distribution/reference). */
export const MAX_REPOSITORY_LENGTH = 255;

/** Longest `name`: it ends up in log lines and file names. */
export const MAX_NAME_LENGTH = 128;

/** nitro-cli's own minimum. */
export const MIN_MEMORY_MB = 64;

/** Upstream reads cpu_count and memory_mb as signed 32-bit numbers. */
export const MAX_INT32 = 2 ** 31 - 1;

/** Longest found value repeated in a message. */
export const MAX_SHOWN_LENGTH = 80;

/** Most addresses or ranges in one list of `clients`: each new connection is compared with them one by one. */
export const MAX_CLIENT_RULES = 1000;

/** Most connections of one ingress port: what the outer-proxy keeps open for one. */
export const MAX_INGRESS_CONNECTIONS = 10_000;

/** Most connections of one ingress port with TLS: some 60 KiB each in the enclave. */
export const MAX_TLS_CONNECTIONS = 4096;

/** Highest rate of new connections that can be asked for: far above what one port of the relay takes. */
export const MAX_CONNECTION_RATE = 100_000;

/** Longest idle time of an ingress connection: a week. */
export const MAX_IDLE_SECONDS = 604_800;
