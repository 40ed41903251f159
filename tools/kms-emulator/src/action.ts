import { z } from 'zod';
import type { Caller, KeyStore } from './key-store.ts';
import { KmsError } from './kms-error.ts';

/** What an action works with. */
export interface ActionContext {
  keys: KeyStore;
  caller: Caller;
  now: Date;
  /** Roots of the attestation documents that are taken: DER. */
  roots: readonly Uint8Array[];
  /** How old they may be. */
  documentAgeMs: number;
}

export type Answer = Record<string, unknown>;

/** An operation of KMS: takes the JSON of a request, gives the JSON of the answer. Throws KmsError. */
export type Action = (request: unknown, context: ActionContext) => Promise<Answer>;

/** An action behind the check of its request. */
export function action<Request>(
  schema: z.ZodType<Request>,
  run: (request: Request, context: ActionContext) => Answer | Promise<Answer>,
): Action {
  return async (request, context) => {
    const result = schema.safeParse(request);
    if (result.success) return run(result.data, context);
    const found = result.error.issues.map(({ path, message }) => `Value at '${path.join('.')}': ${message}`);
    const errors = found.length === 1 ? '1 validation error' : `${found.length} validation errors`;
    throw new KmsError('ValidationException', `${errors} detected: ${found.join('; ')}`);
  };
}

export const keyId = z.string().min(1).max(2048);

/** Bytes as JSON carries them: base64. */
export const blob = (min: number, max: number) =>
  z
    .base64()
    .transform((text) => Buffer.from(text, 'base64'))
    .refine(({ length }) => length >= min && length <= max, { message: `must have ${min} to ${max} bytes` });
