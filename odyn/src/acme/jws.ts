import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto';

/** Public part of a key on P-256 as a JWK, its members in the order of RFC 7638, section 3. */
export function publicJwk(key: KeyObject): { crv: string; kty: string; x: string; y: string } {
  const { crv, kty, x, y } = createPublicKey(key).export({ format: 'jwk' });
  if (crv !== 'P-256' || kty === undefined || x === undefined || y === undefined) {
    throw new TypeError('a key of an ACME account is one on P-256');
  }
  return { crv, kty, x, y };
}

/** RFC 7638, base64url. */
export function thumbprint(key: KeyObject): string {
  return createHash('sha256')
    .update(JSON.stringify(publicJwk(key)))
    .digest('base64url');
}

/** A JWS in flattened JSON (RFC 7515, section 7.2.2) by ES256, as RFC 8555, section 6.2 wants it. `payload` undefined: POST-as-GET. */
export function signedRequest(key: KeyObject, header: Readonly<Record<string, unknown>>, payload?: unknown): Buffer {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const protectedPart = encode({ alg: 'ES256', ...header });
  const body = payload === undefined ? '' : encode(payload);
  const signature = sign('sha256', Buffer.from(`${protectedPart}.${body}`), { key, dsaEncoding: 'ieee-p1363' });
  return Buffer.from(
    JSON.stringify({ protected: protectedPart, payload: body, signature: signature.toString('base64url') }),
  );
}
