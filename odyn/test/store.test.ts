import assert from 'node:assert/strict';
import { STORE_MESSAGE_MAX, type StoreReply } from '@enclaver/wire';
import fc from 'fast-check';
import type { Author } from '../src/store/author.ts';
import { seal } from '../src/store/seal.ts';
import { SEALED_VALUE_MAX, SealedValue } from '../src/store/sealed-value.ts';
import { authorOf, FakeKeys, FakeStore } from './fake-store.ts';
import { FakeParent } from './harness.ts';

describe('sealed values', function () {
  this.timeout(30_000);

  let parent: FakeParent;
  let store: FakeStore;
  let keys: FakeKeys;

  beforeEach(async () => {
    parent = await FakeParent.make();
    await parent.listen();
    store = new FakeStore();
    store.serve(parent);
    keys = new FakeKeys();
  });

  afterEach(() => parent.close());

  const me = authorOf('a');
  const value = (name = 'secret', by = keys, author = me): SealedValue =>
    new SealedValue(parent.transport, by, author, name);
  const written = async (text: string, name = 'secret'): Promise<SealedValue> => {
    const one = value(name);
    assert.equal(await one.read(), undefined);
    assert.equal(await one.write(Buffer.from(text)), true);
    return one;
  };
  const stored = (name = 'secret') => store.values.get(name) ?? assert.fail('nothing is stored');

  it('are read by the next one, and show nothing outside', async () => {
    await written('the key');
    assert.ok(!Buffer.from(stored().value, 'base64').includes('the key'));
    const next = value();
    assert.equal(String(await next.read()), 'the key');
    assert.equal(String(await next.read()), 'the key');
    assert.deepEqual(store.requests.at(-1), { op: 'get', key: 'secret', known: stored().revision });
  });

  it('take the largest value', async () => {
    const large = Buffer.alloc(SEALED_VALUE_MAX, 1);
    assert.equal(await value().write(large), true);
    assert.deepEqual(await value().read(), large);
    await assert.rejects(value().write(Buffer.alloc(SEALED_VALUE_MAX + 1)), RangeError);
  });

  it('are written by one of several writers; the others read again', async () => {
    const [a, b] = [value(), value()];
    await Promise.all([a.read(), b.read()]);
    assert.deepEqual([await a.write(Buffer.from('a')), await b.write(Buffer.from('b'))], [true, false]);
    assert.equal(String(await b.read()), 'a');
    assert.equal(await b.write(Buffer.from('b')), true);
    assert.equal(String(await a.read()), 'b');
  });

  it('do not open when a bit was changed, or cut off', async () => {
    await written('the key');
    const { value: honest, revision } = stored();
    const bytes = Buffer.from(honest, 'base64');
    const changed = fc.oneof(
      fc.nat({ max: bytes.length * 8 - 1 }).map((bit) => {
        const copy = Buffer.from(bytes);
        copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
        return copy;
      }),
      fc.nat({ max: bytes.length - 1 }).map((length) => bytes.subarray(0, length)),
      fc.uint8Array({ minLength: 1 }).map((more) => Buffer.concat([bytes, more])),
    );
    await fc.assert(
      fc.asyncProperty(changed, async (other) => {
        store.values.set('secret', { value: other.toString('base64'), revision });
        await assert.rejects(value().read(), { code: 'STORE_VALUE_INVALID' });
      }),
    );
  });

  it('of another name or another image do not open, and can be replaced', async () => {
    await written('other', 'other');
    store.values.set('secret', stored('other'));
    const mine = value();
    for (const _ of [1, 2]) await assert.rejects(mine.read(), { code: 'STORE_VALUE_INVALID' });
    await assert.rejects(value('other', new FakeKeys()).read(), { code: 'STORE_VALUE_INVALID' });
    assert.equal(await mine.write(Buffer.from('mine')), true);
    assert.equal(String(await value().read()), 'mine');
  });

  it('are believed of the same signer, or else of the same image, whatever KMS does for others', async () => {
    const by = (author: Author) => value('secret', keys, author);
    const readers = {
      unsigned: authorOf('a'),
      other: authorOf('b'),
      signed: authorOf('a', '8'),
      next: authorOf('c', '8'),
      foreign: authorOf('a', '9'),
    };
    const readableBy = async (writer: Author): Promise<string[]> => {
      store.values.clear();
      await by(writer).write(Buffer.from('x'));
      const can = Object.entries(readers).map(async ([who, reader]) =>
        by(reader)
          .read()
          .then(() => [who])
          .catch((error) => (error.code === 'STORE_VALUE_INVALID' ? [] : [String(error)])),
      );
      return (await Promise.all(can)).flat();
    };
    assert.deepEqual(await readableBy(readers.signed), ['unsigned', 'signed', 'next']);
    assert.deepEqual(await readableBy(readers.next), ['signed', 'next']);
    assert.deepEqual(await readableBy(authorOf('a')), ['unsigned']);
  });

  it('are refused when somebody made them up who may encrypt with the KMS key', async () => {
    const forged = seal('secret', { version: Date.now(), value: Buffer.from('theirs') }, await keys.make());
    const documents = [
      Buffer.alloc(0),
      await authorOf('b').sign('secret', forged),
      await me.sign('other', forged),
      await me.sign('secret', Buffer.from('what this image did seal')),
    ];
    for (const [index, document] of documents.entries()) {
      const length = Buffer.alloc(2);
      length.writeUInt16LE(document.length);
      const bytes = Buffer.concat([length, document, forged]);
      store.values.set('secret', { value: bytes.toString('base64'), revision: index + 1 });
      await assert.rejects(value().read(), { code: 'STORE_VALUE_INVALID' });
    }
  });

  it('never go back within one boot', async () => {
    const one = await written('first');
    const old = stored();
    await one.write(Buffer.from('second'));
    const reader = value();
    assert.equal(String(await reader.read()), 'second');
    for (const each of [one, reader]) {
      store.values.set('secret', { ...old, revision: 1000 });
      await assert.rejects(each.read(), { code: 'STORE_ROLLED_BACK' });
      assert.equal(await each.write(Buffer.from('third')), true);
      assert.equal(String(await each.read()), 'third');
    }
  });

  it('are asked for again after KMS was away', async () => {
    await written('the key');
    const next = value();
    keys.away = true;
    await assert.rejects(next.read(), /KMS is away/);
    keys.away = false;
    assert.equal(String(await next.read()), 'the key');
  });

  const frame = (length: number): Buffer => {
    const header = Buffer.alloc(4);
    header.writeUInt32LE(length);
    return header;
  };
  const answers: Record<string, [StoreReply | Buffer, string]> = {
    'of the wrong kind': [{ result: 'stored', revision: 1 }, 'STORE_VALUE_INVALID'],
    'that know of a state nobody had': [{ result: 'unchanged' }, 'STORE_VALUE_INVALID'],
    'without a value': [{ result: 'found', value: '', revision: 1 }, 'STORE_VALUE_INVALID'],
    'that are no JSON': [Buffer.concat([frame(4), Buffer.from('null')]), 'STORE_VALUE_INVALID'],
    'that are too long': [frame(STORE_MESSAGE_MAX + 1), 'STORE_VALUE_INVALID'],
    'that end early': [frame(100), 'STORE_UNAVAILABLE'],
    'that are a failure': [{ result: 'failed', message: 'no bus' }, 'STORE_UNAVAILABLE'],
  };
  for (const [what, [answer, code]] of Object.entries(answers)) {
    it(`refuse answers ${what}`, async () => {
      const one = value();
      store.answer = () => answer;
      await assert.rejects(one.read(), { code });
      store.answer = () => undefined;
      assert.equal(await one.read(), undefined);
    });
  }

  it('do not wait for a parent that is silent', async () => {
    store.answer = () => 'stall';
    await assert.rejects(value().read(), { code: 'STORE_UNAVAILABLE', message: /did not answer in time/ });
  });
});
