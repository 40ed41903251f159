import * as z from 'zod';

/** What an ACME server says (RFC 8555, section 7.1), as far as it is used. Keys that are not known are passed over. */

const url = z.url({ protocol: /^https$/ });

/** Section 7.1.1. */
export const directorySchema = z.object({
  newNonce: url,
  newAccount: url,
  newOrder: url,
  meta: z.object({ externalAccountRequired: z.boolean().optional() }).optional(),
});

/** Section 6.7. */
export const problemSchema = z.object({
  type: z.string().default('about:blank'),
  detail: z.string().optional(),
  subproblems: z
    .array(z.object({ detail: z.string().optional(), identifier: z.object({ value: z.string() }).optional() }))
    .optional(),
});

/** Section 7.1.3. */
export const orderSchema = z.object({
  status: z.enum(['pending', 'ready', 'processing', 'valid', 'invalid']),
  authorizations: z.array(url).min(1).max(100),
  finalize: url,
  certificate: url.optional(),
  error: problemSchema.optional(),
});

const challengeSchema = z.object({
  type: z.string(),
  /** Only of the types that are used here a URL can be relied on. */
  url: z.string(),
  status: z.string(),
  token: z.string().optional(),
  error: problemSchema.optional(),
});

/** Section 7.1.4. */
export const authorizationSchema = z.object({
  status: z.enum(['pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked']),
  identifier: z.object({ type: z.string(), value: z.string() }),
  challenges: z.array(challengeSchema),
});

export type Directory = z.infer<typeof directorySchema>;
export type Problem = z.infer<typeof problemSchema>;
export type Order = z.infer<typeof orderSchema>;
export type Authorization = z.infer<typeof authorizationSchema>;
