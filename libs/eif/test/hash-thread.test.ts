import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { BlockPool } from '../src/block-pool.ts';
import { HashThread } from '../src/hash-thread.ts';
import { BLOCK_BYTES, POOL_BLOCKS, THREAD_BLOCKS } from '../src/limits.ts';
import { refusal } from './support.ts';

const sha384 = (bytes: Uint8Array): Buffer => createHash('sha384').update(bytes).digest();

describe('hash threads', () => {
  for (const count of [0, 1, THREAD_BLOCKS - 1, THREAD_BLOCKS, 5 * POOL_BLOCKS]) {
    it(`hashes ${count} blocks of a pool under two names`, async () => {
      const pool = new BlockPool();
      await using thread = new HashThread();
      const given: Record<string, Buffer[]> = { even: [], odd: [] };
      for (let n = 0; n < count; n += 1) {
        const block = (await pool.take()).subarray(0, BLOCK_BYTES - n);
        block.fill(n + 1);
        const name = n % 2 === 0 ? 'even' : 'odd';
        given[name]?.push(Buffer.from(block));
        pool.giveBack(block, [thread.update(name, block)]);
      }
      for (const [name, blocks] of Object.entries(given)) {
        assert.deepEqual(await thread.digest(name), sha384(Buffer.concat(blocks)), name);
      }
    });
  }

  it('fails what waits and what comes when the thread dies', async () => {
    await using thread = new HashThread();
    const died = refusal('EIF_HASH_THREAD', /the thread that measures the image failed: .*"data" argument/);
    const updates = Array.from({ length: THREAD_BLOCKS }, () => thread.update('image', {} as Uint8Array));
    for (const update of updates) await assert.rejects(update, died);
    await assert.rejects(thread.update('image', Buffer.from('more')), died);
    await assert.rejects(thread.digest('image'), died);
  });

  it('passes the failure of a use on to whoever takes the next block', async () => {
    const pool = new BlockPool();
    const taken = await Promise.all(Array.from({ length: POOL_BLOCKS }, () => pool.take()));
    const next = pool.take();
    for (const block of taken) pool.giveBack(block, [Promise.reject(new Error('the disk is full'))]);
    await assert.rejects(next, /the disk is full/);
    await assert.rejects(pool.take(), /the disk is full/);
  });
});
