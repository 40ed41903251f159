import { isIP } from 'node:net';
import { element, octetString, oid, sequence, tags } from './der.ts';

/** subjectAltName and basicConstraints of RFC 5280, sections 4.2.1.6 and 4.2.1.9. */
const SUBJECT_ALT_NAME = '2.5.29.17';
const BASIC_CONSTRAINTS = '2.5.29.19';
const DNS_NAME = 0x82;

/** An extension of a certificate; `value` is DER. */
export function extension(id: string, value: Uint8Array, { critical = false } = {}): Buffer {
  const mark = critical ? [element(tags.boolean, Buffer.from([0xff]))] : [];
  return sequence(oid(id), ...mark, octetString(value));
}

/** DNS names, in ASCII. */
export function dnsNames(names: readonly string[]): Buffer {
  for (const name of names) if (isIP(name) !== 0) throw new TypeError(`${name} is an address and no DNS name`);
  return extension(SUBJECT_ALT_NAME, sequence(...names.map((name) => element(DNS_NAME, Buffer.from(name, 'ascii')))));
}

/** The certificate signs no others. */
export function noAuthority(): Buffer {
  return extension(BASIC_CONSTRAINTS, sequence(), { critical: true });
}
