import assert from 'node:assert/strict';
import { Policy, parseDestination } from '@enclaver/egress-policy';
import { EgressPatternError, parseEgressPattern } from '@enclaver/manifest';
import { readOrRefuse } from '../target.ts';

export const seeds = [
  '**.example.com:443',
  '*',
  'host:1-65535',
  '10.0.0.0/8:80,443',
  '[2001:db8::/32]:443',
  '0.0.0.0/0',
];

const SPECIAL = ['169.254.169.254', '127.0.0.1', '::1', '10.1.2.3'];

/** A pattern that is taken can be asked, and no name opens an address that is special. */
export function fuzz(input: Buffer): void {
  const text = input.toString('utf8');
  const pattern = readOrRefuse(() => parseEgressPattern(text), EgressPatternError);
  if (pattern === undefined) return;
  const policy = new Policy({ allow: [text], deny: [] });
  const isName = !/[0-9a-f]*[:.]/i.test(text) || text.startsWith('*');
  for (const host of SPECIAL) {
    const { allowed } = policy.decide(parseDestination(host, 443));
    if (isName) assert.equal(allowed, false, `${text} opens ${host}`);
  }
}
