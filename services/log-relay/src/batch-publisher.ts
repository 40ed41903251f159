import { setTimeout as sleep } from 'node:timers/promises';
import type { LogBatch, LogLine, LogTip } from '@enclaver/bus';
import { limits } from './limits.ts';

/** Where batches of one kind of one enclave go. */
export interface BatchTarget {
  /** Stores a batch behind the message at `after`; undefined where another one is behind it. */
  publish(batch: LogBatch, after: number): Promise<{ position: number } | undefined>;
  /** Where the next one goes, and the newest batch stored behind `known`. */
  last(known: number): Promise<LogTip>;
}

/** Records that are missing. */
interface Loss {
  readonly sequence: number;
  readonly lost: number;
}

type Entry = LogLine | Loss;

/**
 * Publishes lines of one enclave in the order in which they came. One batch is on its way at a time, behind the one before it and
 * nothing else: so a retry repeats nothing, and of two log-relays that read the same enclave only one publishes each line. Lines
 * gather meanwhile, and batches grow with the load.
 */
export class BatchPublisher {
  readonly #target: BatchTarget;
  readonly #numbersItself: boolean;
  #entries: Entry[] = [];
  #bytes = 0;
  #flushing: Promise<void> | undefined;
  #hurry = Promise.withResolvers<void>();
  #room: PromiseWithResolvers<void> | undefined;
  /** Position of the newest message stored. */
  #after = 0;
  #state = { next: 0, lostInAll: 0 };

  private constructor(target: BatchTarget, numbersItself: boolean) {
    this.#target = target;
    this.#numbersItself = numbersItself;
  }

  /** Goes on behind what is stored. With `numbersItself` lines have no numbers of their own, but get the next ones. */
  static async open(target: BatchTarget, { numbersItself = false } = {}): Promise<BatchPublisher> {
    const publisher = new BatchPublisher(target, numbersItself);
    await publisher.#look();
    return publisher;
  }

  /** Number of the first line that is not stored. */
  get next(): number {
    return this.#state.next;
  }

  /** Records that were lost before that one. */
  get lost(): number {
    return this.#state.lostInAll;
  }

  /**
   * Takes a line; what another log-relay has stored is passed over, and the number in it does not matter where lines have none.
   * Gives a promise of when there is room for more, where there is none now.
   */
  push(line: LogLine): Promise<void> | undefined {
    if (!this.#numbersItself && line.sequence < this.#state.next) return undefined;
    this.#bytes += line.text.length;
    return this.#add(line);
  }

  /** Takes the word that `lost` records are missing, from number `sequence` on. */
  pushLost(sequence: number, lost: number): Promise<void> | undefined {
    const missing = this.#missing({ sequence, lost });
    return missing === undefined ? undefined : this.#add(missing);
  }

  /** Resolves when all that was pushed is stored. Rejects as soon as publishing fails for good. */
  async drain(): Promise<void> {
    while (this.#flushing !== undefined) {
      this.#hurry.resolve();
      await this.#flushing;
    }
  }

  #add(entry: Entry): Promise<void> | undefined {
    this.#entries.push(entry);
    this.#flushing ??= this.#flush();
    if (this.#bytes >= limits.batchBytes || this.#entries.length >= limits.batchLines) this.#hurry.resolve();
    if (!this.#full()) return undefined;
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  #full(): boolean {
    return this.#bytes >= limits.pendingBytes || this.#entries.length >= limits.pendingLines;
  }

  async #flush(): Promise<void> {
    try {
      while (this.#entries.length > 0) {
        await Promise.race([this.#hurry.promise, sleep(limits.batchMs)]);
        this.#hurry = Promise.withResolvers();
        // What is here now; what comes meanwhile waits its own few milliseconds, or is a batch by then
        for (let waiting = this.#entries.length; waiting > 0; ) waiting -= await this.#publishNext();
      }
    } finally {
      this.#flushing = undefined;
    }
  }

  /** Publishes the oldest entries; returns how many of them are stored now, by whomever. */
  async #publishNext(): Promise<number> {
    const { lines, lost, count, state } = this.#batch();
    const stored = await this.#target.publish({ lines, ...(lost > 0 ? { lost } : {}), ...state }, this.#after);
    if (stored !== undefined) {
      this.#after = stored.position;
      this.#state = state;
      this.#remove(count);
      return count;
    }
    // Let the other one get ahead, so that not each batch of both is in vain
    await sleep(limits.batchMs);
    await this.#look();
    return this.#numbersItself ? 0 : this.#dropStored();
  }

  /** At most a batch of the oldest entries: a loss only before its lines, since that is what `lost` says. */
  #batch(): { lines: LogLine[]; lost: number; count: number; state: { next: number; lostInAll: number } } {
    const lines: LogLine[] = [];
    let [bytes, count, lost, next] = [0, 0, 0, this.#state.next];
    for (const entry of this.#entries) {
      if ('lost' in entry) {
        if (lines.length > 0) break;
        lost += entry.lost;
        next = entry.sequence + entry.lost;
      } else {
        if (bytes >= limits.batchBytes || lines.length === limits.batchLines) break;
        const line = this.#numbersItself ? { ...entry, sequence: next } : entry;
        lines.push(line);
        bytes += line.text.length;
        next = line.sequence + 1;
      }
      count += 1;
    }
    return { lines, lost, count, state: { next, lostInAll: this.#state.lostInAll + lost } };
  }

  /** Asks what is stored. */
  async #look(): Promise<void> {
    const { position, batch } = await this.#target.last(this.#after);
    this.#after = position;
    if (batch !== undefined) this.#state = { next: batch.next ?? this.#state.next, lostInAll: batch.lostInAll ?? 0 };
  }

  /** Forgets the entries that another log-relay has stored; returns how many. */
  #dropStored(): number {
    const { next } = this.#state;
    const first = this.#entries.findIndex((entry) => endOf(entry) > next);
    const count = first < 0 ? this.#entries.length : first;
    this.#remove(count);
    const [entry] = this.#entries;
    if (entry !== undefined && 'lost' in entry) this.#entries[0] = this.#missing(entry) ?? entry;
    return count;
  }

  /** What of a loss is missing on the bus: another log-relay may have had some of the lines that this one has lost. */
  #missing(loss: Loss): Loss | undefined {
    const sequence = Math.max(loss.sequence, this.#state.next);
    const lost = endOf(loss) - sequence;
    return lost > 0 ? { sequence, lost } : undefined;
  }

  #remove(count: number): void {
    for (const entry of this.#entries.splice(0, count)) this.#bytes -= 'lost' in entry ? 0 : entry.text.length;
    if (this.#full()) return;
    this.#room?.resolve();
    this.#room = undefined;
  }
}

/** Number of what follows. */
function endOf(entry: Entry): number {
  return entry.sequence + ('lost' in entry ? entry.lost : 1);
}
