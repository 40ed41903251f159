import type { KeyPolicy, PolicyStatement } from './policy-document.ts';
import { isPrincipal } from './principal.ts';

/** What is asked of a policy. */
export interface AccessRequest {
  /** ARN of the caller. */
  principal: string;
  /** Such as `kms:Decrypt`. */
  action: string;
  /** ARN of the key. */
  resource: string;
  /** Condition keys that the request has, by their names in lower case. */
  context: ReadonlyMap<string, string>;
}

export type Decision = 'allowed' | 'denied' | 'denied explicitly';

/** As AWS does: one Deny is enough, else one Allow is needed. */
export function evaluate({ Statement }: KeyPolicy, request: AccessRequest): Decision {
  const effects = Statement.filter((statement) => applies(statement, request)).map(({ Effect }) => Effect);
  if (effects.includes('Deny')) return 'denied explicitly';
  return effects.includes('Allow') ? 'allowed' : 'denied';
}

function applies(statement: PolicyStatement, { principal, action, resource, context }: AccessRequest): boolean {
  return (
    statement.Principal.AWS.some((each) => isPrincipal(each, principal)) &&
    statement.Action.some((pattern) => isLike(pattern.toLowerCase(), action.toLowerCase())) &&
    statement.Resource.some((pattern) => isLike(pattern, resource)) &&
    isMet(statement.Condition, context)
  );
}

const operators = {
  StringEquals: (wanted: string, found: string) => wanted === found,
  StringEqualsIgnoreCase: (wanted: string, found: string) => wanted.toLowerCase() === found.toLowerCase(),
  StringLike: isLike,
} as const;

/** Operators and keys all have to hold; the values of a key are alternatives. A key that the request has not holds for none. */
function isMet(conditions: PolicyStatement['Condition'], context: AccessRequest['context']): boolean {
  return Object.entries(conditions).every(([operator, keys]) => {
    const compare = operators[operator as keyof typeof operators];
    return Object.entries(keys).every(([key, values]) => {
      const found = context.get(key.toLowerCase());
      return found !== undefined && values.some((wanted) => compare(wanted, found));
    });
  });
}

/** `*` stands for any text, `?` for any one character. */
function isLike(pattern: string, text: string): boolean {
  const parts = pattern.split(/([*?])/).map((part) => {
    if (part === '*') return '.*';
    return part === '?' ? '.' : part.replaceAll(/[\\^$.|+()[\]{}]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('')}$`, 's').test(text);
}
