import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import type { StoreReply } from '@enclaver/wire';
import type { AcmeKeeper } from '../src/acme/keeper.ts';
import { SharedState } from '../src/acme/shared-state.ts';
import type { AcmeState } from '../src/acme/state.ts';
import type { KeyPair } from '../src/ingress/certificates/key-pair.ts';
import { SealedValue } from '../src/store/sealed-value.ts';
import { AcmeBench, DOMAINS, Lines } from './acme-bench.ts';
import { authorOf, FakeKeys, FakeStore } from './fake-store.ts';
import { FakeParent } from './harness.ts';

const changedNever = (): void => assert.fail('the certificate changed');

describe('an authority that says no', function () {
  this.timeout(60_000);

  it('is quoted, and is not asked again by the next boot', async () => {
    await using bench = await AcmeBench.start();
    const { keeper } = await bench.keeper({ firstMs: 3_000 });
    await assert.rejects(keeper.start(changedNever), {
      code: 'ACME_FAILED',
      message:
        /^no certificate for enclave\.example, www\.enclave\.example after 3 s: ACME_REFUSED: the validation of \S+: .+ \(\w+\)$/,
    });
    assert.equal(bench.pebble.orders, 1);
    const next = await bench.keeper({ firstMs: 1_000 });
    await assert.rejects(next.keeper.start(changedNever), { message: /the last order failed: ACME_REFUSED/ });
    assert.equal(bench.pebble.orders, 1);
  });

  it('is quoted when it wants accounts of another kind', async () => {
    await using bench = await AcmeBench.start({ externalAccounts: true });
    const { keeper } = await bench.keeper({ firstMs: 1_000 });
    await assert.rejects(keeper.start(changedNever), { message: /external account binding/ });
    assert.equal(bench.pebble.orders, 0);
  });
});

describe('a replica that comes to an end too late', () => {
  it('does not put an older state in the place of what another has stored', async () => {
    const parent = await FakeParent.make();
    await parent.listen();
    const [store, keys, { log }] = [new FakeStore(), new FakeKeys(), new Lines()];
    store.serve(parent);
    const replica = () => new SharedState(new SealedValue(parent.transport, keys, authorOf('a'), 'state'), log);
    const [slow, quick] = [replica(), replica()];
    const mine = { lease: { holder: 'slow', until: Date.now(), challenges: [] } };
    assert.ok(await slow.write(mine));
    await quick.read();
    const theirs = { certificate: { key: 'k', chain: 'c' } };
    assert.ok(await quick.write(theirs));
    const failures = { count: 1, until: 1, text: 'no' };
    const end = ({ certificate, lease }: AcmeState) =>
      lease?.holder === 'slow' ? { certificate, failures } : undefined;
    await slow.settle(mine, end);
    assert.deepEqual(await replica().read(), theirs);
    assert.ok(await quick.write(mine));
    await slow.read();
    await slow.settle(mine, end);
    assert.deepEqual(await replica().read(), { failures });
    await parent.close();
  });
});

describe('a store that is hostile', function () {
  this.timeout(60_000);

  let bench: AcmeBench;
  const keepers: AcmeKeeper[] = [];

  before(async () => {
    bench = await AcmeBench.start({ alwaysValid: true });
  });

  after(() => bench[Symbol.asyncDispose]());

  beforeEach(() => {
    bench.store.values.clear();
    bench.store.answer = () => undefined;
  });

  // One that goes on would take what the next test's keeper has stored
  afterEach(() => {
    for (const keeper of keepers.splice(0)) keeper.close();
  });

  async function open(options: { firstMs?: number } = {}): ReturnType<AcmeBench['keeper']> {
    const opened = await bench.keeper(options);
    keepers.push(opened.keeper);
    return opened;
  }

  function check(pair: KeyPair): string {
    const certificate = new X509Certificate(pair.certificates);
    assert.equal(certificate.subjectAltName, DOMAINS.map((name) => `DNS:${name}`).join(', '));
    return certificate.serialNumber;
  }

  async function issue(): Promise<{ keeper: AcmeKeeper; serial: string }> {
    const { keeper } = await open();
    return { keeper, serial: check(await keeper.start(changedNever)) };
  }

  const stored = (name: string) => bench.store.values.get(name) ?? assert.fail(`no ${name}`);
  const put = (name: string, value: string): void => {
    bench.store.values.set(name, { value, revision: stored(name).revision });
  };

  const changes: Record<string, () => void> = {
    'gives garbage': () => {
      put('state', Buffer.from('garbage').toString('base64'));
      put('account', Buffer.alloc(500, 1).toString('base64'));
    },
    'gives one value for the other': () => {
      const state = stored('state').value;
      put('state', stored('account').value);
      put('account', state);
    },
    'gives frames that are too long': () => {
      bench.store.answer = ({ op }) => (op === 'get' ? Buffer.alloc(4, 0xff) : { result: 'stored', revision: 1 });
    },
    'forgets everything': () => {
      bench.store.answer = ({ op }): StoreReply =>
        op === 'get' ? { result: 'missing' } : { result: 'stored', revision: 1 };
    },
  };
  for (const [what, change] of Object.entries(changes)) {
    it(`and ${what} costs one order, and nothing wrong is served`, async () => {
      const first = await issue();
      first.keeper.close();
      change();
      const before = bench.pebble.orders;
      const second = await issue();
      assert.notEqual(second.serial, first.serial);
      // Some more looks
      await new Promise((resolve) => setTimeout(resolve, 500));
      assert.equal(bench.pebble.orders, before + 1);
    });
  }

  it("and gives another image's values is not believed", async () => {
    const mine = bench.keys;
    const first = await issue();
    first.keeper.close();
    const theirs = new Map(bench.store.values);
    Object.assign(bench, { keys: new FakeKeys() });
    assert.notEqual((await issue()).serial, first.serial);
    assert.notDeepEqual(bench.store.values, theirs);
    Object.assign(bench, { keys: mine });
  });

  it('and gives an older state changes nothing', async () => {
    const first = await issue();
    first.keeper.close();
    const old = stored('state').value;
    bench.store.values.clear();
    const { keeper, lines } = await open();
    const serial = check(await keeper.start(changedNever));
    assert.notEqual(serial, first.serial);
    bench.store.values.set('state', { value: old, revision: 1_000 });
    const before = bench.pebble.orders;
    await lines.until(/STORE_ROLLED_BACK/);
    assert.equal(bench.pebble.orders, before);
  });

  const dead: Record<string, [() => StoreReply | 'stall' | undefined, RegExp]> = {
    'is silent': [() => 'stall', /STORE_UNAVAILABLE: .* did not answer in time/],
    'takes nothing': [() => ({ result: 'failed', message: 'no bus' }), /STORE_UNAVAILABLE: .* no bus/],
    'is always ahead': [() => ({ result: 'conflict' }), /./],
  };
  for (const [what, [answer, reason]] of Object.entries(dead)) {
    it(`and ${what} costs no order`, async () => {
      const before = bench.pebble.orders;
      bench.store.answer = ({ op }) => (op === 'put' || what === 'is silent' ? answer() : undefined);
      const { keeper } = await open({ firstMs: what === 'is silent' ? 6_000 : 1_000 });
      await assert.rejects(keeper.start(changedNever), { code: 'ACME_FAILED', message: reason });
      assert.equal(bench.pebble.orders, before);
    });
  }
});
