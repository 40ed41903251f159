import * as z from 'zod';

/** Milliseconds since 1970. */
const instant = z.number().int().min(0);

/** What replicas share of one certificate, sealed. */
const stateSchema = z.strictObject({
  certificate: z.strictObject({ key: z.string(), chain: z.string() }).optional(),
  /** Who orders, and until when nobody else does. */
  lease: z
    .strictObject({
      holder: z.string(),
      until: instant,
      /** For validators that come to another replica. `digest` in base64. */
      challenges: z.array(z.strictObject({ domain: z.string(), digest: z.base64() })).max(100),
    })
    .optional(),
  /** Orders that failed in a row, and when the next may be tried: outlives restarts, so that nobody orders in a loop. */
  failures: z.strictObject({ count: z.number().int().min(1), until: instant, text: z.string() }).optional(),
});

export type AcmeState = z.infer<typeof stateSchema>;

export function encodeState(state: AcmeState): Buffer {
  return Buffer.from(JSON.stringify(state));
}

/** Undefined when it is of another version of odyn. */
export function decodeState(bytes: Buffer): AcmeState | undefined {
  try {
    return stateSchema.parse(JSON.parse(bytes.toString('utf8')));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return undefined;
    throw error;
  }
}
