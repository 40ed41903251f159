import assert from 'node:assert/strict';
import { decodeProxyHeader, encodeProxyHeader, PROXY_HEADER_MAX, WireError } from '@enclaver/wire';
import { readOrRefuse } from '../target.ts';

const end = (size: number, port: number) => ({ address: Buffer.alloc(size, 9), port });

export const seeds = [
  encodeProxyHeader({ command: 'local' }),
  encodeProxyHeader({ command: 'proxy', family: 4, source: end(4, 1), destination: end(4, 2) }),
  Buffer.concat([
    encodeProxyHeader({ command: 'proxy', family: 6, source: end(16, 1), destination: end(16, 2) }),
    Buffer.from('GET / HTTP/1.1'),
  ]),
];

/** PROXY headers, version 2: what follows changes nothing, no part of one is taken for it, and it can be written again. */
export function fuzz(input: Buffer): void {
  const found = readOrRefuse(() => decodeProxyHeader(input), WireError);
  if (found === undefined) return;
  assert.ok(found.length <= input.length && found.length <= PROXY_HEADER_MAX);
  assert.deepEqual(decodeProxyHeader(input.subarray(0, found.length)), found);
  for (const cut of [1, found.length >> 1, found.length - 1]) {
    assert.equal(decodeProxyHeader(input.subarray(0, cut)), undefined, `${cut} of ${found.length} bytes`);
  }
  assert.deepEqual(decodeProxyHeader(encodeProxyHeader(found.header))?.header, found.header);
}
