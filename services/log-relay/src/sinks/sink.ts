import type { LogEntry } from '@enclaver/bus';

/** A place that log lines go to, beside the bus. */
export interface Sink {
  /**
   * Hands entries over, in order; `position` is that of the last one's message on the bus. Resolves when the other side has
   * them, with the number of entries that it will never take and of those that were cut short. It is then called anew.
   *
   * @throws SinkError when a later try may succeed: the same entries are then given again
   */
  write(entries: readonly LogEntry[], position: number): Promise<WriteResult>;
  /** Puts on disk what was written and remembers `position` with it, where the sink is a disk. */
  sync?(position: number): Promise<void>;
  /** Opens its files again: somebody has moved them. */
  reopen?(): Promise<void>;
  close(): Promise<void>;
}

export interface WriteResult {
  refused: number;
  truncated: number;
}

export const allTaken: WriteResult = { refused: 0, truncated: 0 };

/** The other side is away, full or busy. */
export class SinkError extends Error {
  override readonly name = 'SinkError';
}
