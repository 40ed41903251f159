import { isAbsolute, relative, resolve } from 'node:path';
import { ImageSourceError, parseImageSource } from '@enclaver/manifest';
import { CliError } from './cli-error.ts';

/**
 * An image source of the command line with its path as seen from `folder`, which the builder starts from. An absolute one stays; a
 * relative one does too, since a release image records it. Errors: `USAGE`.
 */
export function sourceFrom(folder: string, text: string): string {
  try {
    const source = parseImageSource(text);
    if (source.kind === 'reference') return text;
    const reference = source.kind === 'docker-archive' ? undefined : source.reference;
    const path = isAbsolute(source.path) ? source.path : relative(folder, resolve(source.path)) || '.';
    return `${source.kind}:${path}${reference === undefined ? '' : `:${reference}`}`;
  } catch (cause) {
    if (!(cause instanceof ImageSourceError)) throw cause;
    throw new CliError(
      'USAGE',
      `${JSON.stringify(text)} names no image: ${cause.message}`,
      'give an image reference, or docker-archive:PATH, oci-archive:PATH or oci:PATH',
      { cause },
    );
  }
}
