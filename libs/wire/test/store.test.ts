import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  encodeStore,
  STORE_MESSAGE_MAX,
  STORE_VALUE_MAX,
  type StoreReply,
  StoreReplyDecoder,
  StoreRequestDecoder,
} from '../src/index.ts';

describe('store frames', () => {
  it('come out of any cutting', () => {
    const key = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,20}$/);
    const value = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('base64'));
    const request = fc.oneof(
      fc.record({ op: fc.constant('get' as const), key }, { noNullPrototype: true }),
      fc.record({ op: fc.constant('put' as const), key, value, expected: fc.nat() }, { noNullPrototype: true }),
    );
    fc.assert(
      fc.property(request, fc.array(fc.nat({ max: 400 })), (message, cuts) => {
        const bytes = encodeStore(message);
        const at = [...new Set([0, ...cuts.filter((cut) => cut < bytes.length), bytes.length])].sort((a, b) => a - b);
        const decoder = new StoreRequestDecoder();
        const results = at.slice(1).map((end, index) => decoder.push(bytes.subarray(at[index], end)));
        assert.deepEqual(results.at(-1)?.message, message);
        assert.ok(results.slice(0, -1).every((result) => result === undefined));
      }),
    );
  });

  it('hold the largest value, and no larger one', () => {
    const found = (bytes: number): StoreReply => ({
      result: 'found',
      value: Buffer.alloc(bytes).toString('base64'),
      revision: Number.MAX_SAFE_INTEGER,
    });
    assert.deepEqual(
      new StoreReplyDecoder().push(encodeStore(found(STORE_VALUE_MAX)))?.message,
      found(STORE_VALUE_MAX),
    );
    assert.throws(() => new StoreReplyDecoder().push(encodeStore(found(STORE_VALUE_MAX + 3))), {
      code: 'FRAME_INVALID',
    });
    const header = Buffer.alloc(4);
    for (const length of [0, STORE_MESSAGE_MAX + 1, 0xffffffff]) {
      header.writeUInt32LE(length);
      assert.throws(() => new StoreReplyDecoder().push(header), { code: 'FRAME_TOO_LARGE' });
    }
  });

  it('from a hostile peer are refused', () => {
    const raw = (json: string): Buffer => {
      const header = Buffer.alloc(4);
      header.writeUInt32LE(json.length);
      return Buffer.concat([header, Buffer.from(json)]);
    };
    for (const json of [
      '{',
      'null',
      '{"result":"found","value":"AA==","revision":0}',
      '{"result":"found","value":"*","revision":1}',
      '{"result":"stored","revision":1.5}',
      '{"result":"missing","more":1}',
    ]) {
      assert.throws(() => new StoreReplyDecoder().push(raw(json)), { code: 'FRAME_INVALID' }, json);
    }
    for (const json of [
      '{"op":"get","key":"a.b"}',
      '{"op":"get","key":""}',
      '{"op":"get","key":">"}',
      '{"op":"put","key":"a","value":"","expected":-1}',
      '{"op":"drop","key":"a"}',
    ]) {
      assert.throws(() => new StoreRequestDecoder().push(raw(json)), { code: 'FRAME_INVALID' }, json);
    }
  });
});
