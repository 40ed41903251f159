import assert from 'node:assert/strict';
import type { LogBatch, LogLine, LogMessage, LogTip } from '@enclaver/bus';
import { BatchPublisher, type BatchTarget } from '../src/batch-publisher.ts';
import { limits } from '../src/limits.ts';

/** The part of a bus that batches of one enclave go to: keeps them, and takes each behind the last one only. */
class Kept implements BatchTarget {
  readonly batches: LogBatch[] = [];
  gate: Promise<void> = Promise.resolve();

  async publish(batch: LogBatch, after: number): Promise<{ position: number } | undefined> {
    await this.gate;
    if (after !== this.batches.length) return undefined;
    return { position: this.batches.push(batch) };
  }

  async last(): Promise<LogTip> {
    const last = this.batches.at(-1);
    const position = this.batches.length;
    const batch = last === undefined ? undefined : ({ ...last, id: 'e', position, published: '' } as LogMessage);
    return { position, batch };
  }

  get sequences(): number[] {
    return this.batches.flatMap(({ lines }) => lines.map(({ sequence }) => sequence));
  }
}

describe('batch publisher', () => {
  const line = (sequence: number, text: string, stream: 'stdout' | 'stderr' = 'stdout'): LogLine => ({
    sequence,
    stream,
    time: '2026-01-01T00:00:00Z',
    text,
  });
  const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

  it('takes no more than its bound while the bus does not answer', async () => {
    const kept = new Kept();
    const gate = Promise.withResolvers<void>();
    kept.gate = gate.promise;
    const publisher = await BatchPublisher.open(kept);
    const text = 'x'.repeat(16 * 1024);
    let taken = 0;
    const feeding = (async () => {
      for (; taken < 100; taken += 1) await publisher.push(line(taken, text));
    })();
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(taken * text.length <= limits.pendingBytes, `${taken} lines taken`);
    gate.resolve();
    await feeding;
    await publisher.drain();
    assert.equal(publisher.next, 100);
  });

  it('keeps each message within its bound, all lines in order whosever they are, and a loss before its lines', async () => {
    const kept = new Kept();
    const publisher = await BatchPublisher.open(kept);
    for (let index = 0; index < 5_000; index += 1) {
      await publisher.push(line(index, '', index % 2 === 0 ? 'stdout' : 'stderr'));
    }
    for (let index = 5_000; index < 5_100; index += 1) await publisher.push(line(index, 'x'.repeat(16 * 1024)));
    await publisher.pushLost(5_100, 7);
    await publisher.push(line(5_107, 'end'));
    await publisher.drain();
    for (const { lines } of kept.batches) {
      assert.ok(lines.length <= limits.batchLines);
      assert.ok(lines.reduce((sum, { text }) => sum + text.length, 0) < limits.batchBytes + 16 * 1024);
    }
    assert.ok(kept.batches.length < 40, `${kept.batches.length} messages`);
    assert.deepEqual(kept.sequences, [...upTo(5_100), 5_107]);
    const { lost, next, lostInAll } = kept.batches.at(-1) ?? {};
    assert.deepEqual([lost, next, lostInAll], [7, 5_108, 7]);
    assert.deepEqual([publisher.next, publisher.lost], [5_108, 7]);
  });

  it('repeats and loses nothing beside another one that reads the same', async () => {
    const kept = new Kept();
    const both = [await BatchPublisher.open(kept), await BatchPublisher.open(kept)];
    const feed = async (publisher: BatchPublisher): Promise<void> => {
      for (let index = 0; index < 20_000; index += 1) await publisher.push(line(index, `line ${index}`));
      await publisher.drain();
    };
    await Promise.all(both.map(feed));
    assert.deepEqual(kept.sequences, upTo(20_000));
    assert.deepEqual([...both.map(({ next }) => next)], [20_000, 20_000]);
    // One that starts now goes on behind them, also where it has lost what the others have, and a little more
    const late = await BatchPublisher.open(kept);
    await both[0]?.push(line(20_000, 'mine'));
    await both[0]?.drain();
    await late.pushLost(20_000, 3);
    await late.push(line(20_003, 'its'));
    await late.drain();
    assert.deepEqual(kept.sequences.slice(-2), [20_000, 20_003]);
    assert.equal(kept.batches.at(-1)?.lost, 2);
  });

  it('numbers lines that have no number behind those of another', async () => {
    const kept = new Kept();
    const both = [
      await BatchPublisher.open(kept, { numbersItself: true }),
      await BatchPublisher.open(kept, { numbersItself: true }),
    ];
    for (const publisher of both) {
      for (let index = 0; index < 10; index += 1) await publisher.push(line(0, 'console'));
      await publisher.drain();
    }
    assert.deepEqual(kept.sequences, upTo(20));
  });

  it('fails the reader when publishing fails for good', async () => {
    const publish = (): Promise<never> => Promise.reject(new Error('closed'));
    const publisher = await BatchPublisher.open({ publish, last: async () => ({ position: 0, batch: undefined }) });
    await publisher.push(line(0, 'x'));
    await assert.rejects(publisher.drain(), /closed/);
  });
});
