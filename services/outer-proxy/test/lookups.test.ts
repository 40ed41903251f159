import assert from 'node:assert/strict';
import type { LookupAddress, lookup } from 'node:dns';
import { limits } from '../src/limits.ts';
import { type LookupQueue, Lookups } from '../src/lookups.ts';

type Answer = (error: null, found: LookupAddress[]) => void;

describe('name look-ups of enclaves', () => {
  let asked: { host: string; answer: () => void }[];
  let lookups: Lookups;

  beforeEach(() => {
    asked = [];
    // Stands for a resolver that answers when the test says so: a real one that hangs cannot be had
    const ask = (host: string, _options: unknown, callback: Answer) =>
      asked.push({ host, answer: () => callback(null, [{ address: '192.0.2.1', family: 4 }]) });
    lookups = new Lookups(ask as unknown as typeof lookup);
  });

  const want = (queue: LookupQueue, host: string, signal = new AbortController().signal): Promise<unknown> =>
    new Promise((resolve) => {
      lookups.of(queue, signal)(host, { all: true }, (_error, found) => resolve(found));
    });

  it('gives one enclave so many at a time, however many it wants, and the others theirs', () => {
    const hostile = lookups.join();
    const other = lookups.join();
    for (let i = 0; i < 1000; i++) void want(hostile, `h${i}`);
    assert.equal(asked.length, limits.lookupsOfEnclave);
    void want(other, 'wanted');
    assert.equal(asked.at(-1)?.host, 'wanted');
  });

  it('lets enclaves take turns where there is not enough for all', async () => {
    const queues = Array.from({ length: 10 }, () => lookups.join());
    for (const [index, queue] of queues.entries()) for (let i = 0; i < 4; i++) void want(queue, `q${index}`);
    assert.equal(asked.length, limits.lookups);
    const late = lookups.join();
    void want(late, 'late');
    const before = asked.length;
    for (const { answer } of asked.slice(0, 11)) answer();
    assert.ok(asked.slice(before).some(({ host }) => host === 'late'));
  });

  it('forgets what is not waited for any more, and keeps the place of what runs', async () => {
    const queue = lookups.join();
    const running = Array.from({ length: limits.lookupsOfEnclave }, (_, i) => want(queue, `r${i}`));
    const gone = new AbortController();
    void want(queue, 'gone', gone.signal);
    const next = want(queue, 'next');
    gone.abort();
    assert.equal(asked.length, limits.lookupsOfEnclave);
    asked[0]?.answer();
    assert.deepEqual(await running[0], [{ address: '192.0.2.1', family: 4 }]);
    assert.equal(asked.at(-1)?.host, 'next');
    asked.at(-1)?.answer();
    await next;
    assert.ok(!asked.some(({ host }) => host === 'gone'));
  });
});
