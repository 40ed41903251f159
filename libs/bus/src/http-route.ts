import * as z from 'zod';

const label = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';

/** Which requests of a shared HTTP listener are an enclave's: those for this host and below this path. Left out: any. */
export const httpRouteSchema = z.object({
  /** A name in small letters, or `*.` and a name: one or more labels in the place of the star. */
  host: z
    .string()
    .max(253)
    .regex(new RegExp(`^(?:\\*\\.)?${label}(?:\\.${label})*$`))
    .optional(),
  /** Whole segments, compared byte for byte as a client sends them: `/v1` has `/v1` and `/v1/x`, not `/v10`. */
  path: z
    .string()
    .max(1024)
    .regex(/^\/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*$/)
    .optional(),
  /** The app speaks HTTP/2 in clear by prior knowledge, as gRPC servers do; else HTTP/1.1. */
  h2c: z.boolean().optional(),
});

export type HttpRoute = z.infer<typeof httpRouteSchema>;
