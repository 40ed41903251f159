import { MAX_REPOSITORY_LENGTH } from './limits.ts';

/** Where an image comes from. */
export type ImageSource =
  | { kind: 'reference'; reference: string; tag?: string; digest?: string }
  | { kind: 'docker-archive'; path: string }
  | { kind: 'oci-archive' | 'oci'; path: string; reference?: string };

/** An image name that was refused; the message says why. */
export class ImageSourceError extends Error {
  override readonly name = 'ImageSourceError';
  readonly code = 'IMAGE_SOURCE';
}

/** The grammar of distribution/reference: optional domain, path of lower-case components, tag, digest. */
const DOMAIN_COMPONENT = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const DOMAIN = `(?:${DOMAIN_COMPONENT}(?:\\.${DOMAIN_COMPONENT})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const PATH_COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const REPOSITORY = `(?:${DOMAIN}/)?${PATH_COMPONENT}(?:/${PATH_COMPONENT})*`;
const TAG = '[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}';
const DIGEST = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}';
const REFERENCE = new RegExp(`^(?<repository>${REPOSITORY})(?::(?<tag>${TAG}))?(?:@(?<digest>${DIGEST}))?$`);

/** Longest text looked at: repository, tag and a SHA-512 digest fit; it also bounds the expression above. */
const MAX_REFERENCE_LENGTH = 1024;

/** Reads an image reference such as `registry.example.com/app:1.0`. Throws ImageSourceError. */
export function parseImageReference(text: string): Extract<ImageSource, { kind: 'reference' }> {
  const match = text.length > MAX_REFERENCE_LENGTH ? null : REFERENCE.exec(text);
  const repository = match?.groups?.repository;
  if (repository === undefined) {
    const lower = /[A-Z]/.test(text) ? '; repository names are in lower case' : '';
    throw new ImageSourceError(`it does not have the form [REGISTRY[:PORT]/]NAME[:TAG][@DIGEST]${lower}`);
  }
  if (repository.length > MAX_REPOSITORY_LENGTH) {
    throw new ImageSourceError(`its name is longer than ${MAX_REPOSITORY_LENGTH} characters`);
  }
  const { tag, digest } = match?.groups ?? {};
  return {
    kind: 'reference',
    reference: text,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/**
 * Reads what `sources.app` may hold: an image reference, or a local image as `docker-archive:PATH`,
 * `oci-archive:PATH[:REFERENCE]` or `oci:PATH[:REFERENCE]` (the forms of the containers tools). Throws ImageSourceError.
 */
export function parseImageSource(text: string): ImageSource {
  const match = /^(docker-archive|oci-archive|oci):(.*)$/s.exec(text);
  const kind = match?.[1] as Exclude<ImageSource['kind'], 'reference'> | undefined;
  const rest = match?.[2] ?? '';
  if (kind === undefined) return parseImageReference(text);
  const colon = rest.indexOf(':');
  const path = colon === -1 ? rest : rest.slice(0, colon);
  const reference = colon === -1 ? undefined : rest.slice(colon + 1);
  if (path === '') throw new ImageSourceError(`a path must follow "${kind}:"`);
  if (rest.includes('\0')) throw new ImageSourceError('the path holds a NUL');
  if (kind === 'docker-archive') {
    if (reference !== undefined) throw new ImageSourceError('only a path without ":" may follow "docker-archive:"');
    return { kind, path };
  }
  if (reference === '') throw new ImageSourceError(`"${kind}:" is followed by PATH or PATH:REFERENCE`);
  return { kind, path, ...(reference === undefined ? {} : { reference }) };
}
