import * as z from 'zod';
import { TrustError } from '../errors.ts';
import { JsonError, type JsonNode, readJson } from '../json-tree.ts';
import { MAX_POLICY_FILE_BYTES } from '../limits.ts';
import { type Condition, parseOperator } from './condition.ts';

/** One statement in one form: single texts have become lists. */
export interface Statement {
  /** Place in the policy, from 0. */
  index: number;
  sid: string | undefined;
  effect: 'Allow' | 'Deny';
  /** ARNs, account numbers or `*` of `Principal`. Services and federated principals are in `otherPrincipals`. */
  principals: readonly string[];
  otherPrincipals: readonly string[];
  notPrincipal: boolean;
  /** Undefined where the statement has none. */
  actions: readonly string[] | undefined;
  notActions: readonly string[] | undefined;
  /** Of `Resource`; undefined where the statement has none. */
  resources: readonly string[] | undefined;
  hasResource: boolean;
  conditions: readonly Condition[];
}

export interface PolicyDocument {
  /** The policy itself, as it was written. */
  text: string;
  tree: JsonNode;
  statements: readonly Statement[];
}

/** The grammar takes a thing for a list of one, everywhere. */
const listOf = <Item extends z.ZodType>(item: Item) =>
  z.preprocess((value) => (value === undefined || Array.isArray(value) ? value : [value]), z.array(item));
const texts = listOf(z.string());
const scalars = listOf(z.union([z.string(), z.boolean(), z.number()]).transform(String));
const principals = z.union([
  z.literal('*').transform(() => ({ AWS: ['*'] }) as Record<string, string[]>),
  z.record(z.string(), texts),
]);

/** The grammar of IAM policies; elements that it does not know pass, since they are for KMS to refuse. */
const statementSchema = z.looseObject({
  Sid: z.string().optional(),
  Effect: z.enum(['Allow', 'Deny']),
  Principal: principals.optional(),
  NotPrincipal: principals.optional(),
  Action: texts.optional(),
  NotAction: texts.optional(),
  Resource: texts.optional(),
  NotResource: texts.optional(),
  Condition: z.record(z.string(), z.record(z.string(), scalars)).optional(),
});

const policySchema = z.looseObject({ Statement: listOf(statementSchema) });

/**
 * Reads a key policy: the policy itself, or what `aws kms get-key-policy` prints (the policy as a string in
 * `{"Policy": "…"}`). Throws POLICY_INVALID, POLICY_TOO_LARGE.
 */
export function parsePolicy(file: string): PolicyDocument {
  const size = Buffer.byteLength(file);
  if (size > MAX_POLICY_FILE_BYTES) {
    throw new TrustError(
      'POLICY_TOO_LARGE',
      `the policy has ${size} bytes; at most ${MAX_POLICY_FILE_BYTES} are read`,
      'name the file of a key policy',
    );
  }
  const outer = read(file);
  const wrapped = z.object({ Policy: z.string() }).safeParse(outer.value);
  const text = wrapped.success ? wrapped.data.Policy : file;
  const { value, tree } = wrapped.success ? read(text) : outer;
  const result = policySchema.safeParse(value);
  if (!result.success) throw invalid(z.prettifyError(result.error));
  return { text, tree, statements: result.data.Statement.map(toStatement) };
}

function toStatement(given: z.output<typeof statementSchema>, index: number): Statement {
  const { AWS = [], ...others } = given.Principal ?? {};
  return {
    index,
    sid: given.Sid,
    effect: given.Effect,
    principals: AWS,
    otherPrincipals: Object.values(others).flat(),
    notPrincipal: given.NotPrincipal !== undefined,
    actions: given.Action,
    notActions: given.NotAction,
    resources: given.Resource,
    hasResource: given.Resource !== undefined || given.NotResource !== undefined,
    conditions: Object.entries(given.Condition ?? {}).flatMap(([operator, keys]) =>
      Object.entries(keys).map(([key, values]) => ({ ...parseOperator(operator), key, values })),
    ),
  };
}

function read(text: string): { value: unknown; tree: JsonNode } {
  try {
    return readJson(text);
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw invalid(cause.message, { cause });
  }
}

export function invalid(message: string, options?: ErrorOptions): TrustError {
  return new TrustError(
    'POLICY_INVALID',
    `this is no key policy that can be read: ${message}`,
    'save it with `aws kms get-key-policy --key-id <key> --query Policy --output text`',
    options,
  );
}
