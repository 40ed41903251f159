import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { limits } from './limits.ts';
import { ProvenanceError } from './provenance-error.ts';

/** Curves whose keys cosign makes or takes, as OpenSSL names them. */
const CURVES: Readonly<Record<string, string>> = { prime256v1: 'P-256', secp384r1: 'P-384' };

/** Who signs: a public key in PEM, as `cosign generate-key-pair` writes it. Throws PUBLIC_KEY_INVALID. */
export function publicKey(pem: string | Uint8Array): KeyObject {
  const text = Buffer.from(pem);
  if (text.length > limits.keyBytes) {
    throw new ProvenanceError('PUBLIC_KEY_INVALID', `the key has ${text.length} bytes; allowed are ${limits.keyBytes}`);
  }
  // Node would take the public half of a private key or of a certificate: neither is what a verifier should hold
  if (!/^\s*-----BEGIN PUBLIC KEY-----[^-]*-----END PUBLIC KEY-----\s*$/.test(text.toString('latin1'))) {
    throw new ProvenanceError('PUBLIC_KEY_INVALID', 'the key is not one block "PUBLIC KEY" in PEM form');
  }
  let key: KeyObject;
  try {
    key = createPublicKey(text);
  } catch (cause) {
    throw new ProvenanceError('PUBLIC_KEY_INVALID', `the public key cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (key.asymmetricKeyType !== 'ec' || curve === undefined || CURVES[curve] === undefined) {
    throw new ProvenanceError(
      'PUBLIC_KEY_INVALID',
      `the key is of kind ${curve ?? key.asymmetricKeyType}; allowed are EC keys on ${Object.values(CURVES).join(' and ')}`,
    );
  }
  return key;
}

/** ECDSA with SHA-256 in DER form, as cosign signs with a key of either curve. Text that is no base64 is no signature. */
export function isSignedBy(key: KeyObject, message: Uint8Array, signature: string): boolean {
  const bytes = Buffer.from(signature, 'base64');
  if (bytes.length === 0 || bytes.toString('base64') !== signature) return false;
  return verify('sha256', message, { key, dsaEncoding: 'der' }, bytes);
}
