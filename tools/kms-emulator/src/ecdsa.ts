import { createECDH, type KeyObject } from 'node:crypto';

/** Orders of the groups (SEC 2, version 2; NIST SP 800-186). */
const ORDERS: Readonly<Record<string, bigint>> = {
  prime256v1: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  secp256k1: 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
  secp384r1: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  secp521r1:
    0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
};

/**
 * Signs a digest that was made elsewhere, as KMS does for `MessageType` DIGEST; Node signs only what it has hashed itself.
 * The multiplication on the curve is OpenSSL's. Not in constant time: for keys of no value.
 *
 * @returns a DER SEQUENCE of r and s
 */
export function signDigest(key: KeyObject, digest: Uint8Array): Buffer {
  const curve = key.asymmetricKeyDetails?.namedCurve ?? '';
  const order = ORDERS[curve];
  const secret = key.export({ format: 'jwk' }).d;
  if (order === undefined || secret === undefined) throw new RangeError(`no signatures on ${curve}`);
  const d = toBigInt(Buffer.from(secret, 'base64url'));
  // No digest in use here is longer than the order, so none is cut.
  const z = toBigInt(digest);
  for (;;) {
    const once = createECDH(curve);
    const point = once.generateKeys();
    const k = toBigInt(once.getPrivateKey());
    const r = toBigInt(point.subarray(1, 1 + (point.length - 1) / 2)) % order;
    const s = (inverse(k, order) * (z + r * d)) % order;
    if (r !== 0n && s !== 0n) return derSequence(derInteger(r), derInteger(s));
  }
}

/** Inverse modulo a prime, by Euclid. */
function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n];
  while (a > 1n) {
    const quotient = b / a;
    [a, b, x, y] = [b % a, a, y - quotient * x, x];
  }
  return ((x % modulus) + modulus) % modulus;
}

function derInteger(value: bigint): Buffer {
  const digits = value.toString(16);
  const bytes = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
  const positive = (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes;
  return Buffer.concat([Buffer.from([0x02, positive.length]), positive]);
}

function derSequence(...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length = body.length < 0x80 ? [body.length] : [0x81, body.length];
  return Buffer.concat([Buffer.from([0x30, ...length]), body]);
}

function toBigInt(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`);
}
