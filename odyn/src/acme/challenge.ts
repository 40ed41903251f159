import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { KeyPair } from '../ingress/certificates/key-pair.ts';
import { octetString } from '../x509/der.ts';
import { extension } from '../x509/extension.ts';
import { pem, selfSigned } from '../x509/self-signed.ts';
import { thumbprint } from './jws.ts';

/** id-pe-acmeIdentifier (RFC 8737, section 6.1). */
const ACME_IDENTIFIER = '1.3.6.1.5.5.7.1.31';
/** A validator looks once, and at no date; clocks may differ. */
const LIFE_MS = 86_400_000;

/** What a validator of TLS-ALPN-01 has to be shown for a name. */
export interface Challenge {
  readonly domain: string;
  /** SHA-256 of the key authorization: no secret. */
  readonly digest: Buffer;
}

/** RFC 8555, section 8.1 and RFC 8737, section 3. */
export function challengeOf(domain: string, token: string, accountKey: KeyObject): Challenge {
  return {
    domain,
    digest: createHash('sha256')
      .update(`${token}.${thumbprint(accountKey)}`)
      .digest(),
  };
}

/** Certificate that shows a challenge, with a key of its own. */
export function challengePair({ domain, digest }: Challenge): KeyPair {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = selfSigned({
    key: privateKey,
    names: [domain],
    notBefore: new Date(Date.now() - LIFE_MS),
    notAfter: new Date(Date.now() + LIFE_MS),
    extensions: [extension(ACME_IDENTIFIER, octetString(digest), { critical: true })],
  });
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certificates: pem('CERTIFICATE', certificate),
  };
}
