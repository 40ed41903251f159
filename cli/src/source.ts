import { resolve } from 'node:path';
import { ImageSourceError, parseImageSource } from '@enclaver/manifest';
import { CliError } from './cli-error.ts';

/** An image source of the command line with its path made absolute: the builder's current folder is another. Errors: `USAGE`. */
export function absoluteSource(text: string): string {
  try {
    const source = parseImageSource(text);
    if (source.kind === 'reference') return text;
    const reference = source.kind === 'docker-archive' ? undefined : source.reference;
    return `${source.kind}:${resolve(source.path)}${reference === undefined ? '' : `:${reference}`}`;
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
