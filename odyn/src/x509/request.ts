import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import { bitString, element, explicit, integer, oid, sequence, tags } from './der.ts';
import { dnsNames } from './extension.ts';
import { ECDSA_WITH_SHA256 } from './self-signed.ts';

/** extensionRequest of PKCS #9 (RFC 2985, section 5.4.2). */
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';

/** A request for a certificate (PKCS #10, RFC 2986) with these DNS names and no other name, DER. `key`: private, on P-256. */
export function certificateRequest(key: KeyObject, names: readonly string[]): Buffer {
  const attribute = sequence(oid(EXTENSION_REQUEST), element(tags.set, sequence(dnsNames(names))));
  const content = sequence(
    integer(Buffer.from([0])),
    sequence(),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    explicit(0, attribute),
  );
  return sequence(content, sequence(oid(ECDSA_WITH_SHA256)), bitString(sign('sha256', content, key)));
}
