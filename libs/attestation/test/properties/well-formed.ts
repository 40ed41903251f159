/**
 * Whether bytes are one well-formed item: the check that RFC 8949 gives in its Appendix C, written from there. It knows
 * nothing of keys, of text and of depth.
 */
export function isWellFormed(bytes: Uint8Array): boolean {
  let at = 0;
  const take = (count: number | bigint): Uint8Array => {
    if (count > bytes.length - at) throw new RangeError('too short');
    at += Number(count);
    return bytes.subarray(at - Number(count), at);
  };
  const item = (breakable: boolean): number => {
    const [first = 0] = take(1);
    const major = first >> 5;
    const info = first & 0x1f;
    let value = BigInt(info);
    if (info >= 24 && info <= 27) value = BigInt(`0x${Buffer.from(take(1 << (info - 24))).toString('hex')}`);
    else if (info >= 28 && info <= 30) throw new RangeError('not assigned');
    else if (info === 31) return indefinite(major, breakable);
    if (major === 2 || major === 3) take(value);
    if (major === 4) for (let left = value; left > 0n; left -= 1n) item(false);
    if (major === 5) for (let left = 2n * value; left > 0n; left -= 1n) item(false);
    if (major === 6) item(false);
    if (major === 7 && info === 24 && value < 32n) throw new RangeError('a simple value in two bytes');
    return major;
  };
  const indefinite = (major: number, breakable: boolean): number => {
    if (major === 2 || major === 3) {
      for (let chunk = item(true); chunk !== -1; chunk = item(true))
        if (chunk !== major) throw new RangeError('another chunk');
    } else if (major === 4) {
      while (item(true) !== -1);
    } else if (major === 5) {
      while (item(true) !== -1) item(false);
    } else if (major === 7 && breakable) {
      return -1;
    } else {
      throw new RangeError('no indefinite length');
    }
    return 99;
  };
  try {
    item(false);
    return at === bytes.length;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
