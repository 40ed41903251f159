import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Certificate, KeyUsageFlags, type Name } from '@peculiar/asn1-x509';
import {
  type Authority,
  authorityConstraints,
  issueCertificate,
  keyIdOf,
  keyUsage,
  makeKeyPair,
  name,
  subjectKey,
} from './certificate.ts';
import { SimulatorError } from './errors.ts';
import { CA_LEAD_MS, MAX_ROOT_PEM_BYTES, ROOT_LIFE_MS } from './limits.ts';

/** What the certificate says of itself: whoever looks at it must see that it is not AWS's. */
const COMMON_NAME = 'Enclaver DEVELOPMENT root, not AWS';
const SUBJECT = name([
  ['O', 'Enclaver'],
  ['OU', 'DEVELOPMENT'],
  ['CN', COMMON_NAME],
]);

/**
 * The root that simulated documents hang from. Its key is an ordinary file on an ordinary machine, so such a document proves
 * nothing to anybody: trust the certificate in tests and demos, nowhere else.
 */
export class DevelopmentRoot {
  /** DER; for `roots` of `verifyDocument`. */
  readonly certificate: Uint8Array;
  readonly #privateKey: KeyObject;

  private constructor(certificate: Uint8Array, privateKey: KeyObject) {
    this.certificate = certificate;
    this.#privateKey = privateKey;
  }

  /** A new key and its certificate, valid for ten years from an hour before `now`. */
  static create({ now = new Date() }: { now?: Date } = {}): DevelopmentRoot {
    const { publicKey, privateKey } = makeKeyPair();
    const certificate = issueCertificate(
      {
        subject: SUBJECT,
        publicKey,
        notBefore: new Date(now.getTime() - CA_LEAD_MS),
        notAfter: new Date(now.getTime() + ROOT_LIFE_MS),
        extensions: [
          authorityConstraints(),
          subjectKey(keyIdOf(publicKey)),
          keyUsage(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        ],
      },
      { name: SUBJECT, privateKey },
    );
    return new DevelopmentRoot(certificate, privateKey);
  }

  /** Reads what `save` gave. Throws SimulatorError DEVELOPMENT_ROOT_INVALID for any other key or certificate. */
  static load(pem: string): DevelopmentRoot {
    if (pem.length > MAX_ROOT_PEM_BYTES) {
      throw invalid(`it has ${pem.length} characters; at most ${MAX_ROOT_PEM_BYTES} are allowed`);
    }
    const { certificate, privateKey } = parse(pem);
    // A root with another name would make documents that look like somebody else's.
    if (!sameName(subjectOf(certificate), SUBJECT)) throw invalid(`its subject is not ${JSON.stringify(COMMON_NAME)}`);
    if (!certificate.checkPrivateKey(privateKey)) throw invalid('its key is not the one of its certificate');
    if (!certificate.verify(certificate.publicKey)) throw invalid('it is not signed by itself');
    if (privateKey.asymmetricKeyDetails?.namedCurve !== 'secp384r1') throw invalid('its key is not on P-384');
    return new DevelopmentRoot(new Uint8Array(certificate.raw), privateKey);
  }

  /** The certificate in PEM. */
  get pem(): string {
    return new X509Certificate(this.certificate).toString();
  }

  /** PEM: private key and certificate, for a file that only its owner reads. */
  save(): string {
    const key = this.#privateKey.export({ type: 'pkcs8', format: 'pem' });
    return `${key}${this.pem}`;
  }

  /** What signs the certificates below. */
  authority(): Authority {
    return { name: SUBJECT, privateKey: this.#privateKey, keyId: keyIdOf(createPublicKey(this.#privateKey)) };
  }
}

function parse(pem: string): { certificate: X509Certificate; privateKey: KeyObject } {
  try {
    return { certificate: new X509Certificate(pem), privateKey: createPrivateKey(pem) };
  } catch (cause) {
    throw invalid('it holds no private key and certificate in PEM', cause);
  }
}

function subjectOf(certificate: X509Certificate): Name {
  return AsnConvert.parse(certificate.raw, Certificate).tbsCertificate.subject;
}

function sameName(a: Name, b: Name): boolean {
  return Buffer.from(AsnConvert.serialize(a)).equals(Buffer.from(AsnConvert.serialize(b)));
}

function invalid(found: string, cause?: unknown): SimulatorError {
  const message = `this is no development root of the NSM simulator: ${found}`;
  return new SimulatorError('DEVELOPMENT_ROOT_INVALID', message, cause === undefined ? {} : { cause });
}
