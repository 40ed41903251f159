import assert from 'node:assert/strict';
import fc from 'fast-check';
import { holds } from '../../../test/properties/cases.ts';
import { nameData, RCODE, readQuery, TYPE, writeAnswer, writeFault } from '../../src/egress/transparent/dns-message.ts';
import { StandIns } from '../../src/egress/transparent/stand-ins.ts';
import { limits } from '../../src/limits.ts';

const label = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_'), minLength: 1, maxLength: 63 });
const labels = fc.array(label, { maxLength: 6 }).filter((all) => all.join('.').length < 250);
const OPT = Buffer.from('0000291000000000000000', 'hex');

interface Asked {
  readonly id: number;
  readonly labels: readonly string[];
  readonly type: number;
  readonly extended: boolean;
}
const asked: fc.Arbitrary<Asked> = fc.record(
  {
    id: fc.integer({ min: 0, max: 0xffff }),
    labels,
    type: fc.oneof(fc.constantFrom(...Object.values(TYPE)), fc.integer({ min: 1, max: 0xffff })),
    extended: fc.boolean(),
  },
  { noNullPrototype: true },
);

function write({ id, labels: all, type, extended }: Asked): Buffer {
  const head = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, extended ? 1 : 0]);
  const name = all.length === 0 ? Buffer.of(0) : nameData(all.join('.'));
  return Buffer.concat([head, name, Buffer.from([type >> 8, type & 255, 0, 1]), extended ? OPT : Buffer.alloc(0)]);
}

describe('DNS messages', () => {
  it('are read as they were written', async () => {
    await holds(
      fc.property(asked, (one) => {
        const query = readQuery(write(one));
        assert.ok(query && !('rcode' in query));
        const { id, type, extended } = query;
        assert.deepEqual({ id, labels: query.labels, type, extended }, one);
        assert.equal(query.recursionDesired, true);
      }),
      2_000,
    );
  });

  it('are answered within what every client takes, with the question and one record', async () => {
    const data = fc.option(fc.uint8Array({ maxLength: 255 }), { nil: undefined });
    await holds(
      fc.property(asked, data, fc.option(fc.string({ maxLength: 60 }), { nil: undefined }), (one, found, reason) => {
        const bytes = write(one);
        const query = readQuery(bytes);
        assert.ok(query && !('rcode' in query));
        const answer = writeAnswer(query, {
          rcode: RCODE.OK,
          ...(found === undefined ? {} : { data: Buffer.from(found), ttlSeconds: 60 }),
          ...(reason === undefined ? {} : { reason }),
        });
        assert.equal(answer.readUInt16BE(0), one.id);
        assert.equal(answer.readUInt16BE(2), 0x8180);
        const counts = [4, 6, 8, 10].map((at) => answer.readUInt16BE(at));
        assert.deepEqual(counts, [1, found === undefined ? 0 : 1, 0, one.extended ? 1 : 0]);
        const end = 12 + query.question.length;
        assert.deepEqual(answer.subarray(12, end), bytes.subarray(12, end));
        if (found !== undefined)
          assert.deepEqual(answer.subarray(end + 12, end + 12 + found.length), Buffer.from(found));
      }),
      2_000,
    );
  });

  it('are read or refused whatever their bytes are, and never past their end', async () => {
    const mutated = fc.tuple(asked, fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat()).map(([one, at, to, cut]) => {
      const bytes = write(one);
      bytes[at % bytes.length] = to;
      return bytes.subarray(0, cut % 4 === 0 ? cut % bytes.length : bytes.length);
    });
    await holds(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 600 }).map(Buffer.from)), (bytes) => {
        const query = readQuery(bytes);
        if (query === undefined) return;
        const answer = 'rcode' in query ? writeFault(query) : writeAnswer(query, { rcode: RCODE.NO_NAME });
        assert.equal(answer.readUInt16BE(0), bytes.readUInt16BE(0));
        assert.ok((answer[2] ?? 0) & 0x80);
        if ('rcode' in query) return;
        assert.ok(query.labels.every((one) => one.length > 0 && one.length <= 63));
        assert.ok(query.question.length <= bytes.length - 12 && query.question.length <= 259);
      }),
      4_000,
    );
  });

  const faults: Record<string, [message: string, rcode: number | undefined]> = {
    'a pointer in a question': ['0001010000010000000000000c0c00010001'.replace('0c0c', 'c00c'), RCODE.FORMAT],
    'two questions': ['000101000002000000000000016100000100010161000001 0001'.replace(' ', ''), RCODE.FORMAT],
    'no question': ['000101000000000000000000', RCODE.FORMAT],
    'an answer in a query': ['0001010000010001000000000161000001 0001'.replace(' ', ''), RCODE.FORMAT],
    'a name without an end': ['0001010000010000000000000161', RCODE.FORMAT],
    'an update': ['000128000001000000000000016100000600 01'.replace(' ', ''), RCODE.NOT_IMPLEMENTED],
    'the class of Chaos': ['0001010000010000000000000161000010 0003'.replace(' ', ''), RCODE.REFUSED],
    'an answer': ['000181800001000000000000016100000100 01'.replace(' ', ''), undefined],
    'half a head': ['00010100', undefined],
  };
  for (const [name, [message, rcode]] of Object.entries(faults)) {
    it(`that are ${name} ${rcode === undefined ? 'are passed over' : `get code ${rcode}`}`, () => {
      const query = readQuery(Buffer.from(message, 'hex'));
      assert.equal(query && 'rcode' in query ? query.rcode : query, rcode);
    });
  }
});

describe('addresses that stand for names', () => {
  it('are the same for a name as long as it is among those used last', () => {
    const standIns = new StandIns();
    const first = standIns.addressOf('first.com');
    for (let i = 0; i < limits.egressStandIns; i++) {
      standIns.addressOf(`${i}.com`);
      if (i % 1_000 === 0) assert.equal(standIns.nameOf(first), 'first.com');
    }
    assert.deepEqual(standIns.addressOf('first.com'), first);
    assert.equal(standIns.nameOf(standIns.addressOf('0.com')), '0.com');
  });

  it('are forgotten in the order of use, and not given out again soon', () => {
    const standIns = new StandIns();
    const first = standIns.addressOf('first.com');
    for (let i = 0; i < 100_000; i++) assert.notDeepEqual(standIns.addressOf(`${i}.com`), first);
    assert.equal(standIns.nameOf(first), undefined);
    assert.notDeepEqual(standIns.addressOf('first.com'), first);
  });

  it('are all in the range, each for one name', () => {
    const standIns = new StandIns();
    const seen = new Set<string>();
    for (let i = 0; i < 200_000; i++) {
      const address = standIns.addressOf(`${i}.com`);
      assert.ok(StandIns.has(address));
      assert.notEqual(address.bytes.slice(1).join('.'), '18.0.0');
      if (i >= 200_000 - limits.egressStandIns) seen.add(address.bytes.join('.'));
      assert.equal(standIns.nameOf(address), `${i}.com`);
    }
    assert.equal(seen.size, limits.egressStandIns);
  });
});
