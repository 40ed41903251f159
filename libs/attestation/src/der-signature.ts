const SEQUENCE = 0x30;
const INTEGER = 0x02;

/**
 * An ECDSA signature as certificates have it, `SEQUENCE { r INTEGER, s INTEGER }` in DER, as r and s that WebCrypto
 * takes, each of `width` bytes. Undefined when it is not exactly that. Lengths are below 128 up to P-384, so each is one byte.
 */
export function rawSignature(der: Uint8Array, width: number): Uint8Array<ArrayBuffer> | undefined {
  if (der[0] !== SEQUENCE || der[1] !== der.length - 2) return undefined;
  const raw = new Uint8Array(2 * width);
  let at = 2;
  for (const end of [width, 2 * width]) {
    const length = der[at + 1] ?? 0;
    const integer = der.subarray(at + 2, at + 2 + length);
    if (der[at] !== INTEGER || length === 0 || integer.length !== length) return undefined;
    const [first = 0, second = 0] = integer;
    const padded = first === 0 && length > 1;
    // Negative, or longer than need be
    if (first >= 0x80 || (padded && second < 0x80)) return undefined;
    const magnitude = padded ? integer.subarray(1) : integer;
    if (magnitude.length > width) return undefined;
    raw.set(magnitude, end - magnitude.length);
    at += 2 + length;
  }
  return at === der.length ? raw : undefined;
}
