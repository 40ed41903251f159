/**
 * What `read` gives, which opens a file to look at something; undefined where no file descriptor is left for that. A look that is
 * left out is better than an end of odyn.
 */
export function unlessOutOfDescriptors<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isOutOfDescriptors(error) || isOutOfDescriptors((error as Error).cause)) return undefined;
    throw error;
  }
}

function isOutOfDescriptors(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === 'EMFILE' || code === 'ENFILE';
}
