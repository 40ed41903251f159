import assert from 'node:assert/strict';
import {
  EGRESS_MESSAGE_MAX,
  type EgressReply,
  EgressReplyDecoder,
  EgressRequestDecoder,
  encodeEgress,
} from '../src/index.ts';

const raw = (json: string): Buffer => {
  const frame = Buffer.from(`\0\0${json}`);
  frame.writeUInt16LE(frame.length - 2, 0);
  return frame;
};

describe('egress frames', () => {
  it('are those of the original: a little-endian length and JSON', () => {
    assert.equal(encodeEgress({ host: 'a.b', port: 80 }).toString('latin1'), '\x18\x00{"host":"a.b","port":80}');
    assert.equal(encodeEgress('Ok').toString('latin1'), '\x04\x00"Ok"');
  });

  it('come out of any cutting, with the bytes behind them', () => {
    const bytes = Buffer.concat([encodeEgress({ host: 'example.com', port: 443, report: true }), Buffer.from('tail')]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const decoder = new EgressRequestDecoder();
      const first = decoder.push(bytes.subarray(0, cut));
      const { message, rest } = first ?? decoder.push(bytes.subarray(cut)) ?? assert.fail('incomplete');
      assert.deepEqual(message, { host: 'example.com', port: 443, report: true });
      assert.equal(first === undefined ? rest.toString() : rest.toString() + bytes.subarray(cut).toString(), 'tail');
    }
  });

  it('carry each kind of reply', () => {
    const replies: EgressReply[] = ['Ok', { Ok: { address: '::1' } }, { Err: { os_code: 111, message: 'refused' } }];
    for (const reply of replies) assert.deepEqual(new EgressReplyDecoder().push(encodeEgress(reply))?.message, reply);
  });

  it('are never cut short in silence: what is too long is refused on both sides (D14)', () => {
    assert.throws(() => encodeEgress({ Err: { os_code: 0, message: 'x'.repeat(70_000) } }), {
      code: 'FRAME_TOO_LARGE',
    });
    const header = Buffer.alloc(2);
    for (const length of [0, EGRESS_MESSAGE_MAX + 1, 0xffff]) {
      header.writeUInt16LE(length);
      assert.throws(() => new EgressReplyDecoder().push(header), { code: 'FRAME_TOO_LARGE' });
    }
  });

  it('from a hostile peer are refused', () => {
    for (const json of ['{', 'null', '"ok"', '{"Ok":{}}', '{"Ok":{"address":"localhost"}}', '{"Ok":1,"Err":2}']) {
      assert.throws(() => new EgressReplyDecoder().push(raw(json)), { code: 'FRAME_INVALID' }, json);
    }
    for (const json of [
      '{"host":"a"}',
      '{"host":"","port":1}',
      '{"host":"a","port":0}',
      '{"host":"a","port":65536}',
      '[]',
    ]) {
      assert.throws(() => new EgressRequestDecoder().push(raw(json)), { code: 'FRAME_INVALID' }, json);
    }
    assert.throws(() => new EgressRequestDecoder().push(raw(`{"host":"${'a'.repeat(254)}","port":1}`)), {
      code: 'FRAME_INVALID',
    });
  });
});
