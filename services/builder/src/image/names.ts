import { parseImageReference } from '@enclaver/manifest';

/** A name without tag or digest means `:latest`, as for the docker client; an engine's own interface means every tag. */
export function fullReference(reference: string): string {
  const { tag, digest } = parseImageReference(reference);
  return tag === undefined && digest === undefined ? `${reference}:latest` : reference;
}

/** A reference without its tag and digest. */
export function repositoryOf(reference: string): string {
  return reference.replace(/@.*$/, '').replace(/:[^:/]*$/, '');
}
