import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { type AlgorithmParameters, algorithmOfCurve, type SignatureAlgorithm } from './cose-sign1.ts';
import { EifError } from './errors.ts';
import { MAX_SIGNING_FILE_BYTES } from './limits.ts';
import { pemLabels } from './signing-certificate.ts';

/** Whoever holds a private key and signs with it. */
export interface EifSigner {
  /** Follows from the curve: P-256, P-384, P-521. */
  readonly algorithm: SignatureAlgorithm;
  /** Compared with the certificate's key before anything is signed. */
  readonly publicKey: KeyObject;
  /** ECDSA over the message, hashed as the algorithm says. Gives r‖s: 64, 96 or 132 bytes. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

const KEY_LABELS = new Set(['PRIVATE KEY', 'EC PRIVATE KEY']);
const REMEDY = 'make one with `openssl ecparam -name secp384r1 -genkey -noout -out key.pem`';
const signInThread = promisify(sign);

/**
 * Signs with a private key in PEM, PKCS#8 or SEC1, on P-256, P-384 or P-521. Throws SIGN_KEY for every other one, and for
 * an encrypted one: there is nobody to ask for its password.
 */
export function pemSigner(pem: Uint8Array): EifSigner {
  const key = parsePrivateKey(Buffer.from(pem));
  const publicKey = createPublicKey(key);
  const algorithm = algorithmOfKey(publicKey);
  return {
    algorithm: algorithm.name,
    publicKey,
    sign: (message) => signInThread(algorithm.hash, message, { key, dsaEncoding: 'ieee-p1363' }),
  };
}

/** The algorithm that goes with a public key. Throws SIGN_KEY for a key that no EIF can be signed with. */
export function algorithmOfKey(key: KeyObject): AlgorithmParameters {
  const algorithm = algorithmOfCurve(key.asymmetricKeyDetails?.namedCurve);
  if (key.asymmetricKeyType !== 'ec' || algorithm === undefined) {
    const found = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? 'unknown';
    throw refuse(`the signing key is of kind ${found}; allowed are EC keys on P-256, P-384 and P-521`);
  }
  return algorithm;
}

function parsePrivateKey(pem: Buffer): KeyObject {
  if (pem.length > MAX_SIGNING_FILE_BYTES) {
    throw refuse(`the signing key has ${pem.length} bytes; at most ${MAX_SIGNING_FILE_BYTES} are allowed`);
  }
  // `openssl ecparam -genkey` writes the curve in a block before the key.
  const labels = pemLabels(pem).filter((label) => label !== 'EC PARAMETERS');
  const [label] = labels;
  if (label === undefined) throw refuse('the signing key is not in PEM form');
  if (labels.length > 1) throw refuse(`the file of the signing key holds ${labels.length} PEM blocks; one is allowed`);
  if (label === 'ENCRYPTED PRIVATE KEY' || pem.includes('Proc-Type: 4,ENCRYPTED')) {
    throw refuse(
      'the signing key is encrypted; only a plain one is allowed',
      'decrypt it with `openssl pkey -in KEY -out PLAIN`, or keep the key in AWS KMS and give its ARN',
    );
  }
  if (!KEY_LABELS.has(label)) {
    throw refuse(`the signing key is a PEM block "${label}"; allowed are ${[...KEY_LABELS].join(' and ')}`);
  }
  try {
    return createPrivateKey(pem);
  } catch {
    // The cause is left out: it may show where in the key the reading stopped.
    throw refuse('the signing key cannot be read: its PEM block holds no private key');
  }
}

function refuse(message: string, remedy = REMEDY): EifError {
  return new EifError('SIGN_KEY', message, { remedy });
}
