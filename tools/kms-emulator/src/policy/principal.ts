/**
 * Whether a principal of a policy stands for this caller: everybody, the caller's account, the caller's own ARN, or the role of
 * which the caller is a session. A session's ARN has no path, so a role is known by its name alone.
 */
export function isPrincipal(principal: string, caller: string): boolean {
  if (principal === '*' || principal === caller) return true;
  const [, partition = '', , , account = '', resource = ''] = caller.split(':');
  if (principal === account || principal === `arn:${partition}:iam::${account}:root`) return true;
  const [kind, name] = resource.split('/');
  const role = `arn:${partition}:iam::${account}:role/`;
  return kind === 'assumed-role' && principal.startsWith(role) && principal.split('/').at(-1) === name;
}
