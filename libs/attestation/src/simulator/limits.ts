const SECOND_MS = 1000;
const HOUR_MS = 3600 * SECOND_MS;
const DAY_MS = 24 * HOUR_MS;

/** A leaf begins this long before it is made, as seen in documents of AWS ... */
export const LEAF_LEAD_MS = 3 * SECOND_MS;

/** ... and ends three hours after that (there: after it is made). */
export const LEAF_LIFE_MS = 3 * HOUR_MS;

/** One leaf serves many documents; this one is replaced when a verifier still has half of its life for the document. */
export const LEAF_USE_MS = LEAF_LIFE_MS / 2;

/** Lives as AWS gives them. Regional and zonal certificates begin an hour before they are made. */
export const CA_LEAD_MS = HOUR_MS;
export const REGIONAL_LIFE_MS = 20 * DAY_MS;
export const ZONAL_LIFE_MS = 6 * DAY_MS;
export const INSTANCE_LIFE_MS = DAY_MS;

/** Long enough that no demo stops for it; AWS's root has 30 years. */
export const ROOT_LIFE_MS = 3650 * DAY_MS;

/** A key and a certificate on P-384 have 1.1 KB in PEM. */
export const MAX_ROOT_PEM_BYTES = 8192;

/** IAM's bound on an ARN. */
export const MAX_ARN_LENGTH = 2048;

/** From accepting a connection to its close. A request is answered in milliseconds; the rest is for a slow machine. */
export const EXCHANGE_MS = 10 * SECOND_MS;

/** Connections at a time: one for each process of an enclave that asks, and the client asks one thing at a time. */
export const MAX_CONNECTIONS = 64;
