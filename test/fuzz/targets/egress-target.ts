import assert from 'node:assert/strict';
import { authorityOf, DestinationError, Policy } from '@enclaver/egress-policy';
import { connectTarget, forwardTarget } from '../../../odyn/src/egress/request-target.ts';
import { readOrRefuse } from '../target.ts';

export const seeds = [
  'example.com:443',
  '[2001:db8::1]:443',
  '0x7f.1:80',
  '3232235521:80',
  'EXAMPLE.com.:443',
  'xn--bcher-kva.example:443',
  'http://host:17002/path?query',
  'http://[::ffff:10.0.0.1]/a',
  'host:80',
];

const policy = new Policy({ allow: ['**.example', '10.0.0.0/8'], deny: ['evil.example'] });

/** A destination has one spelling: written out and read again it is itself, and what the policy says of it is the same. */
export function fuzz(input: Buffer): void {
  const text = input.toString('latin1');
  const forward = readOrRefuse(() => forwardTarget('GET', text), DestinationError);
  if (forward !== undefined) assert.ok(forward.path.startsWith('/') && !forward.hostHeader.includes('@'));
  const connect = readOrRefuse(() => connectTarget(text), DestinationError);
  for (const destination of [forward?.destination, connect]) {
    if (destination === undefined) continue;
    const again = connectTarget(authorityOf(destination));
    assert.deepEqual(again, destination);
    assert.deepEqual(policy.decide(again), policy.decide(destination));
  }
}
