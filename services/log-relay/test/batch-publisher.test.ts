import assert from 'node:assert/strict';
import type { LogBatch, LogStreamName } from '@enclaver/bus';
import { BatchPublisher } from '../src/batch-publisher.ts';
import { limits } from '../src/limits.ts';

describe('batch publisher', () => {
  const line = (sequence: number, text: string) => ({ sequence, time: '2026-01-01T00:00:00Z', text });

  it('takes no more than its bound while the bus does not answer', async () => {
    const gate = Promise.withResolvers<void>();
    const publisher = new BatchPublisher(() => gate.promise);
    const text = 'x'.repeat(16 * 1024);
    let taken = 0;
    const feeding = (async () => {
      for (; taken < 100; taken += 1) await publisher.push('stdout', line(taken, text));
    })();
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(taken * text.length <= limits.pendingBytes, `${taken} lines taken`);
    gate.resolve();
    await feeding;
    await publisher.drain();
    assert.equal(publisher.lines, 100);
  });

  it('keeps each message within its bound and all lines in order', async () => {
    const batches: [LogStreamName, LogBatch][] = [];
    const publisher = new BatchPublisher(async (stream, batch) => void batches.push([stream, batch]));
    for (let index = 0; index < 5_000; index += 1) await publisher.push('stdout', line(index, ''));
    for (let index = 5_000; index < 5_100; index += 1)
      await publisher.push('stdout', line(index, 'x'.repeat(16 * 1024)));
    await publisher.push('lost', 7);
    await publisher.push('stderr', line(5_107, 'end'));
    await publisher.drain();
    for (const [, { lines }] of batches) {
      assert.ok(lines.length <= limits.batchLines);
      assert.ok(lines.reduce((sum, { text }) => sum + text.length, 0) < limits.batchBytes + 16 * 1024);
    }
    const sequences = batches.flatMap(([, batch]) => batch.lines.map(({ sequence }) => sequence));
    assert.deepEqual(sequences, [...Array.from({ length: 5_100 }, (_, index) => index), 5_107]);
    assert.deepEqual(
      batches.slice(-2).map(([stream, { lost }]) => [stream, lost]),
      [
        ['lost', 7],
        ['stderr', undefined],
      ],
    );
    assert.equal(publisher.lost, 7);
  });

  it('fails the reader when publishing fails for good', async () => {
    const publisher = new BatchPublisher(() => Promise.reject(new Error('closed')));
    await publisher.push('stdout', line(0, 'x'));
    await assert.rejects(publisher.drain(), /closed/);
  });
});
