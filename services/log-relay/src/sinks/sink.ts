import type { LogEntry } from '@enclaver/bus';

/** The entries of one message of the bus. */
export interface EntryGroup {
  /** Of the message, on the bus: goes up from group to group. */
  position: number;
  entries: readonly LogEntry[];
}

/** A place that log lines go to, beside the bus. */
export interface Sink {
  /**
   * Hands entries over, in order, and resolves when the other side has what it will ever take, with the number of entries that
   * it refused for good. `signal` says that nobody waits for the result any more.
   *
   * @throws SinkError when a later try may succeed: the same groups are then given again
   */
  write(groups: readonly EntryGroup[], signal: AbortSignal): Promise<number>;
  /** Makes what was written outlast the machine, where the sink is on this machine's disk. */
  sync?(): Promise<void>;
  /** Somebody may have moved its files. */
  reopen?(): Promise<void>;
  /** Another log-relay serves it now: what is open is closed, and nothing more is written. `write` may come again later. */
  abandon?(): Promise<void>;
  close(): Promise<void>;
}

/** The other side is away, full or busy. */
export class SinkError extends Error {
  override readonly name = 'SinkError';
}
