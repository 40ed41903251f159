import { CONSTRUCTED } from './tags.ts';

/** An element of definite length, in its shortest form. */
export function element(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag, ...lengthBytes(body.length)]), body]);
}

/** A constructed element of indefinite length, with its end-of-contents marker. */
export function openElement(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.from([tag | CONSTRUCTED, 0x80]), ...parts, Buffer.alloc(2)]);
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}
