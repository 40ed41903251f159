import assert from 'node:assert/strict';
import { DestinationError, Policy, parseDestination } from '@enclaver/egress-policy';
import fc from 'fast-check';
import { holds } from '../../../test/properties/cases.ts';
import { type Address, mayAsk, mayKeep } from './naive-policy.ts';
import { dialled, policies, target } from './policy-cases.ts';

function ipAddress({ version, value }: Address) {
  const hex = value.toString(16).padStart(version === 4 ? 8 : 32, '0');
  return { family: version, bytes: new Uint8Array(Buffer.from(hex, 'hex')) };
}

describe('egress policy, beside a naive one written from the page', () => {
  it('has the same verdict on every destination, however it is spelled', async () => {
    const seen = { open: 0, closed: 0 };
    await holds(
      fc.property(policies, target, ({ is, text }, asked) => {
        const expected = mayAsk(is, asked.is);
        seen[expected ? 'open' : 'closed'] += 1;
        const { allowed, rule } = new Policy(text).decide(parseDestination(asked.text, asked.is.port));
        assert.equal(allowed, expected, rule);
      }),
      4_000,
    );
    // Neither verdict is rare, or the comparison would say little
    assert.ok(Math.min(seen.open, seen.closed) > 0.05 * (seen.open + seen.closed), JSON.stringify(seen));
  });

  it('has the same verdict on where a destination led', async () => {
    const seen = { kept: 0, closed: 0 };
    await holds(
      fc.property(policies, target, dialled, ({ is, text }, asked, led) => {
        const expected = mayKeep(is, asked.is, led);
        seen[expected ? 'kept' : 'closed'] += 1;
        const { allowed, rule } = new Policy(text).decideDialled(
          parseDestination(asked.text, asked.is.port),
          ipAddress(led),
        );
        assert.equal(allowed, expected, rule);
      }),
      3_000,
    );
    assert.ok(Math.min(seen.kept, seen.closed) > 0.05 * (seen.kept + seen.closed), JSON.stringify(seen));
  });

  it('gives the parent a spelling that means the same again', async () => {
    const any = fc.oneof(
      target.map(({ text }) => text),
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.string({ unit: 'grapheme', maxLength: 20 }),
    );
    await holds(
      fc.property(any, (text) => {
        try {
          const once = parseDestination(text, 80);
          assert.deepEqual(parseDestination(once.host, 80), once);
          assert.match(once.host, /^[0-9a-z_.:-]+$/);
        } catch (error) {
          assert.ok(error instanceof DestinationError, String(error));
        }
      }),
      3_000,
    );
  });
});
