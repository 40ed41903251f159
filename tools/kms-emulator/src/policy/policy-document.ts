import { z } from 'zod';
import { KmsError } from '../kms-error.ts';
import { limits } from '../limits.ts';

/** The grammar takes a thing for a list of one. */
const texts = z.union([z.string().transform((text) => [text]), z.array(z.string()).min(1)]);

const conditions = z.record(z.string(), texts);

const statement = z.strictObject({
  Sid: z.string().optional(),
  Effect: z.enum(['Allow', 'Deny']),
  Principal: z.union([z.literal('*').transform(() => ({ AWS: ['*'] })), z.strictObject({ AWS: texts })]),
  Action: texts,
  Resource: texts,
  Condition: z
    .strictObject({
      StringEquals: conditions.optional(),
      StringEqualsIgnoreCase: conditions.optional(),
      StringLike: conditions.optional(),
    })
    .default({}),
});

/**
 * The part of the grammar of key policies that the emulator evaluates. Whatever else AWS has is refused and not passed over: a
 * condition that is not understood must not let anybody in.
 */
const policy = z.strictObject({
  Version: z.enum(['2012-10-17', '2008-10-17']).optional(),
  Id: z.string().optional(),
  Statement: z.union([statement.transform((one) => [one]), z.array(statement)]),
});

export type PolicyStatement = z.output<typeof statement>;
export type KeyPolicy = z.output<typeof policy>;

/** Takes a policy as JSON text or as what that stands for. Throws MalformedPolicyDocumentException, LimitExceededException. */
export function parseKeyPolicy(given: unknown): KeyPolicy {
  const text = typeof given === 'string' ? given : JSON.stringify(given);
  if (Buffer.byteLength(text) > limits.policyBytes) {
    throw new KmsError('LimitExceededException', `The key policy has more than ${limits.policyBytes} bytes.`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new KmsError('MalformedPolicyDocumentException', 'The key policy is not JSON.');
  }
  const result = policy.safeParse(value);
  if (result.success) return result.data;
  throw new KmsError(
    'MalformedPolicyDocumentException',
    `The emulator does not take this key policy: ${z.prettifyError(result.error)}`,
  );
}

/** That of a key that was made without one: the account may do everything, which leaves the rest to IAM. */
export function defaultPolicy(root: string): KeyPolicy {
  return parseKeyPolicy({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: { AWS: root }, Action: 'kms:*', Resource: '*' }],
  });
}
