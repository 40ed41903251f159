import { createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';
import { bitString, element, explicit, integer, oid, sequence, tags, time, utf8String } from './der.ts';
import { dnsNames, noAuthority } from './extension.ts';

/** ecdsa-with-SHA256 (RFC 5758, section 3.2), and commonName. */
export const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
const COMMON_NAME = '2.5.4.3';
/** Longest commonName (RFC 5280, appendix A). */
const MAX_COMMON_NAME = 64;
/** As long as RFC 5280 allows (section 4.1.2.2), less the bits that keep it positive and without leading zeros. */
const SERIAL_BYTES = 20;
const VERSION_3 = 2;

export interface SelfSignedContent {
  /** A private key on P-256. */
  readonly key: KeyObject;
  readonly names: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Besides the names, as `extension` gives them. */
  readonly extensions?: readonly Uint8Array[];
}

/** A certificate of a key by the key itself, DER. */
export function selfSigned(content: SelfSignedContent): Buffer {
  const { key, names, notBefore, notAfter, extensions = [] } = content;
  const algorithm = sequence(oid(ECDSA_WITH_SHA256));
  const subject = commonName(names[0] ?? '');
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = ((serial[0] as number) & 0x7f) | 0x40;
  const content3 = sequence(
    explicit(0, integer(Buffer.from([VERSION_3]))),
    integer(serial),
    algorithm,
    subject,
    sequence(time(notBefore), time(notAfter)),
    subject,
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    explicit(3, sequence(noAuthority(), dnsNames(names), ...extensions)),
  );
  return sequence(content3, algorithm, bitString(sign('sha256', content3, key)));
}

/** A distinguished name with one part; empty when the name is too long for it, since clients look at subjectAltName. */
export function commonName(name: string): Buffer {
  if (name === '' || name.length > MAX_COMMON_NAME) return sequence();
  return sequence(element(tags.set, sequence(oid(COMMON_NAME), utf8String(name))));
}

/** DER as a PEM block, such as `CERTIFICATE`. */
export function pem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
