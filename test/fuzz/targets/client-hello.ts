import assert from 'node:assert/strict';
import { HelloReader, type ReadHello } from '../../../odyn/src/ingress/client-hello.ts';

const vector = (size: number, ...parts: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  const length = Buffer.alloc(size);
  length.writeUIntBE(body.length, 0, size);
  return Buffer.concat([length, body]);
};
const number = (value: number): Buffer => Buffer.of(value >> 8, value & 255);
const serverName = Buffer.concat([number(0), vector(2, vector(2, Buffer.of(0), vector(2, Buffer.from('a.example'))))]);
const protocols = Buffer.concat([number(16), vector(2, vector(2, vector(1, Buffer.from('acme-tls/1'))))]);
const hello = (...extensions: Buffer[]): Buffer => {
  const body = [
    number(0x303),
    Buffer.alloc(32),
    vector(1),
    vector(2, number(0x1301)),
    vector(1, Buffer.of(0)),
    vector(2, ...extensions),
  ];
  return Buffer.concat([Buffer.of(1), vector(3, ...body)]);
};

export const seeds = [
  Buffer.concat([Buffer.of(22, 3, 1), vector(2, hello(serverName, protocols))]),
  Buffer.concat([
    Buffer.of(22, 3, 1),
    vector(2, hello(protocols).subarray(0, 9)),
    Buffer.of(22, 3, 1),
    vector(2, hello(protocols).subarray(9)),
  ]),
];

const readHello = (...pieces: readonly Buffer[]): ReadHello => {
  const reader = new HelloReader();
  let read: ReadHello = 'incomplete';
  for (const piece of pieces) if (read === 'incomplete') read = reader.push(piece);
  return read;
};

/** The first message of a TLS client: once it is clear what it is, more bytes change nothing, and nor does how they come. */
export function fuzz(input: Buffer): void {
  const found = readHello(input);
  const longer = readHello(Buffer.concat([input, Buffer.of(22, 0)]));
  if (found !== 'incomplete') assert.deepEqual(longer, found);
  const shorter = readHello(input.subarray(0, input.length - 1));
  if (shorter !== 'incomplete') assert.deepEqual(found, shorter);
  const half = input.length >> 1;
  assert.deepEqual(readHello(input.subarray(0, half), input.subarray(half)), found);
}
