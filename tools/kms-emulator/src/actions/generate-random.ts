import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { action } from '../action.ts';
import { limits } from '../limits.ts';
import { attest, recipientField, secretAnswer } from '../recipient.ts';

const request = z.object({
  NumberOfBytes: z.int().min(1).max(limits.randomBytes),
  Recipient: recipientField,
});

/** Uses no key, so no key policy: at AWS the caller's own policies decide, which the emulator has not. */
export const generateRandom = action(request, async ({ NumberOfBytes, Recipient }, context) => {
  const recipient = await attest(Recipient, context);
  return secretAnswer('Plaintext', randomBytes(NumberOfBytes), recipient);
});
