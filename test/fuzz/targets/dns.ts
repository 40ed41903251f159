import assert from 'node:assert/strict';
import { readQuery, writeAnswer, writeFault } from '../../../odyn/src/egress/transparent/dns-message.ts';

const query = (name: string, type: number): Buffer => {
  const labels = name.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1'));
  return Buffer.concat([Buffer.from('123401000001000000000000', 'hex'), ...labels, Buffer.of(0, 0, type, 0, 1)]);
};

export const seeds = [
  query('allowed.example.com', 1),
  query('1.0.0.127.in-addr.arpa', 12),
  Buffer.concat([query('a', 28).fill(1, 11, 12), Buffer.from('0000290500000000000000', 'hex')]),
];

/** Queries of the app: an answer asks the same question and fits into a datagram. */
export function fuzz(input: Buffer): void {
  const found = readQuery(input);
  if (found === undefined) return;
  if ('rcode' in found) {
    assert.equal(writeFault(found).length, 12);
    return;
  }
  const answer = writeAnswer(found, { rcode: 0, data: Buffer.alloc(16), ttlSeconds: 1, reason: 'a rule' });
  assert.ok(answer.length <= 512);
  assert.deepEqual(answer.subarray(0, 2), input.subarray(0, 2));
  assert.deepEqual(answer.subarray(12, 12 + found.question.length), found.question);
}
