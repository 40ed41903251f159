import assert from 'node:assert/strict';
import { type Clients, parseIpAddress } from '@enclaver/manifest';
import fc from 'fast-check';
import { ClientRules } from '../src/ingress/client-rules.ts';
import { Rate } from '../src/ingress/rate.ts';

const decide = (clients: Clients, address: string) =>
  new ClientRules(clients).decide(parseIpAddress(address) ?? assert.fail(`${address} is none`));

describe('rules for clients', () => {
  const cases: [Clients, string, boolean, string][] = [
    [{ allow: ['10.0.0.0/8'], deny: [] }, '10.1.2.3', true, 'allow 10.0.0.0/8'],
    [{ allow: ['10.0.0.0/8'], deny: [] }, '11.1.2.3', false, 'no allow rule'],
    [{ allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'] }, '10.1.2.3', false, 'deny 10.1.0.0/16'],
    [{ allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'] }, '10.2.2.3', true, 'allow 10.0.0.0/8'],
    [{ deny: ['192.0.2.7'] }, '192.0.2.7', false, 'deny 192.0.2.7'],
    [{ deny: ['192.0.2.7'] }, '192.0.2.8', true, 'no deny rule'],
    [{ deny: ['0.0.0.0/0'] }, '2001:db8::1', true, 'no deny rule'],
    [{ allow: ['0.0.0.0/0'], deny: [] }, '2001:db8::1', false, 'no allow rule'],
    [{ allow: ['2001:db8::/32'], deny: [] }, '2001:db8::1', true, 'allow 2001:db8::/32'],
    [{ allow: ['192.0.2.1/255.255.255.0'], deny: [] }, '192.0.2.200', true, 'allow 192.0.2.1/255.255.255.0'],
    // IPv4-mapped IPv6 is IPv4, on either side
    [{ deny: ['10.0.0.0/8'] }, '::ffff:10.1.2.3', false, 'deny 10.0.0.0/8'],
    [{ deny: ['::ffff:10.0.0.0/104'] }, '10.1.2.3', false, 'deny ::ffff:10.0.0.0/104'],
    [{ allow: ['::/0'], deny: [] }, '::ffff:10.1.2.3', false, 'no allow rule'],
  ];
  for (const [clients, address, allowed, rule] of cases) {
    it(`${allowed ? 'take' : 'refuse'} ${address} by ${JSON.stringify(clients)}`, () => {
      assert.deepEqual(decide(clients, address), { allowed, rule });
    });
  }

  it('refuse whom the parent names no address of, whatever they say', () => {
    for (const clients of [{ allow: ['0.0.0.0/0', '::/0'], deny: [] }, { deny: ['192.0.2.7'] }]) {
      assert.deepEqual(new ClientRules(clients).decide(undefined), { allowed: false, rule: 'no address' });
    }
  });

  it('compare IPv4 addresses as numbers would', () => {
    const word = fc.nat(0xffff_ffff);
    const text = (n: number): string => [24, 16, 8, 0].map((shift) => (n >>> shift) & 0xff).join('.');
    fc.assert(
      fc.property(word, word, fc.integer({ min: 0, max: 32 }), (network, random, prefix) => {
        const size = 2 ** (32 - prefix);
        const address = random % 2 === 0 ? random : Math.floor(network / size) * size + (random % size);
        const inside = Math.floor(network / size) === Math.floor(address / size);
        const range = `${text(network)}/${prefix}`;
        assert.equal(decide({ allow: [range], deny: [] }, text(address)).allowed, inside);
        assert.equal(decide({ deny: [range] }, text(address)).allowed, !inside);
      }),
    );
  });
});

describe('rate of new connections', () => {
  it('lets a burst through, then one at each interval', () => {
    const rate = new Rate({ connectionsPerSecond: 10, burst: 3 });
    const taken = (times: number[]): boolean[] => times.map((ms) => rate.take(ms));
    assert.deepEqual(taken([1000, 1000, 1000, 1000]), [true, true, true, false]);
    assert.deepEqual(taken([1099, 1100, 1101]), [false, true, false]);
    assert.deepEqual(taken([9000, 9000, 9000, 9000]), [true, true, true, false]);
  });

  it('never lets more through than burst and rate allow', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.nat(500), { maxLength: 200 }),
        (connectionsPerSecond, burst, pauses) => {
          const rate = new Rate({ connectionsPerSecond, burst });
          let now = 1000;
          let taken = 0;
          for (const pause of pauses) {
            now += pause;
            if (rate.take(now)) taken++;
          }
          assert.ok(taken <= burst + ((now - 1000) / 1000) * connectionsPerSecond + 1e-6);
        },
      ),
    );
  });
});
