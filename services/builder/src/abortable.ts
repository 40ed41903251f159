import type { BuildProgress } from '@enclaver/bus';
import type { BuildOptions } from './build-options.ts';

/** Cancelling takes effect at the next step that is reported: every block of bytes is one. */
export function abortable({
  signal,
  onProgress,
}: Pick<BuildOptions, 'signal' | 'onProgress'>): (progress: BuildProgress) => void {
  return (progress) => {
    signal?.throwIfAborted();
    onProgress?.(progress);
  };
}
