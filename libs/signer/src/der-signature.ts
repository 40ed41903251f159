/**
 * An ECDSA signature as r‖s, each of `width` bytes, from the DER SEQUENCE of two INTEGERs that KMS gives (RFC 3279, section
 * 2.2.3). Strict: shortest lengths, positive numbers, nothing behind. Throws RangeError.
 */
export function rawSignature(der: Uint8Array, width: number): Buffer {
  const [body, rest] = takeValue(Buffer.from(der), 0x30);
  const [r, afterR] = takeValue(body, 0x02);
  const [s, afterS] = takeValue(afterR, 0x02);
  if (rest.length > 0 || afterS.length > 0) throw new RangeError('bytes follow the DER signature');
  return Buffer.concat([fixedWidth(r, width), fixedWidth(s, width)]);
}

/** The value of the element at the start, and the bytes behind it. */
function takeValue(bytes: Buffer, tag: number): [value: Buffer, rest: Buffer] {
  const [found, first = 0, second = 0] = bytes;
  const isLong = first === 0x81 && second >= 0x80;
  if (found !== tag || (first >= 0x80 && !isLong)) throw new RangeError('the signature is not in DER form');
  const start = isLong ? 3 : 2;
  const end = start + (isLong ? second : first);
  if (end > bytes.length) throw new RangeError('the DER signature ends early');
  return [bytes.subarray(start, end), bytes.subarray(end)];
}

function fixedWidth(integer: Buffer, width: number): Buffer {
  const [first, second = 0] = integer;
  const hasSign = first === 0 && integer.length > 1;
  if (first === undefined || first >= 0x80 || (hasSign && second < 0x80)) {
    throw new RangeError('a number of the DER signature is negative or not in its shortest form');
  }
  const digits = hasSign ? integer.subarray(1) : integer;
  if (digits.length > width) throw new RangeError(`a number of the signature has ${digits.length} bytes, not ${width}`);
  return Buffer.concat([Buffer.alloc(width - digits.length), digits]);
}
