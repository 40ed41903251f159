const SEQUENCE = 0x30;
const INTEGER = 0x02;
/** Bytes of r, and of s, on P-384. */
const WIDTH = 48;

/**
 * An ECDSA signature on P-384 as certificates have it, `SEQUENCE { r INTEGER, s INTEGER }` in DER, as r and s that WebCrypto
 * takes. Undefined when it is not exactly that. Lengths are below 128, so each is one byte.
 */
export function rawSignature(der: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  if (der[0] !== SEQUENCE || der[1] !== der.length - 2) return undefined;
  const raw = new Uint8Array(2 * WIDTH);
  let at = 2;
  for (const end of [WIDTH, 2 * WIDTH]) {
    const length = der[at + 1] ?? 0;
    const integer = der.subarray(at + 2, at + 2 + length);
    if (der[at] !== INTEGER || length === 0 || integer.length !== length) return undefined;
    const [first = 0, second = 0] = integer;
    const padded = first === 0 && length > 1;
    // Negative, or longer than need be
    if (first >= 0x80 || (padded && second < 0x80)) return undefined;
    const magnitude = padded ? integer.subarray(1) : integer;
    if (magnitude.length > WIDTH) return undefined;
    raw.set(magnitude, end - magnitude.length);
    at += 2 + length;
  }
  return at === der.length ? raw : undefined;
}
