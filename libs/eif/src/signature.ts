import { type KeyObject, verify } from 'node:crypto';
import * as z from 'zod';
import { algorithmOfHeader, decodeCbor, type SignatureAlgorithm, sign1Schema, signedBytes } from './cose-sign1.ts';
import { EifError } from './errors.ts';
import { MAX_SIGNATURE_BYTES } from './limits.ts';
import { certificatePcr, PCR_BYTES } from './pcr.ts';
import { outsideValidity, parseCertificate } from './signing-certificate.ts';

/** A signature section that was checked: the COSE signature verifies with the certificate and names this PCR0. */
export interface EifSignature {
  /** The PEM text as it stands in the file. */
  certificate: string;
  algorithm: SignatureAlgorithm;
  /** Distinguished name of the certificate's subject, one attribute per line. */
  subject: string;
  /** The certificate's own validity. It is not checked on reading: see `verifySignature`. */
  validFrom: Date;
  validTo: Date;
  /** Lower-case hexadecimal. */
  PCR8: string;
  /** The section's bytes, from which the same file can be written again. */
  raw: Buffer;
}

const byteArray = z.array(z.int().min(0).max(255)).transform((values) => Buffer.from(values));
const mapOf = <Shape extends z.ZodType>(shape: Shape) =>
  z
    .instanceof(Map)
    .transform((map) => Object.fromEntries(map))
    .pipe(shape);
// Only the first entry counts, for upstream's tools too.
const sectionSchema = z
  .tuple([mapOf(z.strictObject({ signing_certificate: byteArray, signature: byteArray }))])
  .rest(z.unknown());
const protectedSchema = z.instanceof(Map);
const payloadSchema = mapOf(z.strictObject({ register_index: z.int(), register_value: byteArray }));

/**
 * Reads a signature section and checks everything in it that does not depend on the time: form, algorithm against
 * key, COSE signature, and that the signed payload is PCR0 of the image. Throws EIF_SIGNATURE.
 *
 * @param pcr0 PCR0 computed from the image's own bytes, lower-case hexadecimal
 */
export function checkSignature(raw: Uint8Array, pcr0: string): EifSignature {
  if (raw.length > MAX_SIGNATURE_BYTES) {
    throw refuse(`the signature section has ${raw.length} bytes; at most ${MAX_SIGNATURE_BYTES} are allowed`);
  }
  const [entry] = decode(raw, sectionSchema, 'the signature section');
  const { certificate, key } = parseCertificate(entry.signing_certificate, refuse);
  const [protectedBytes, , payloadBytes, signature] = decode(entry.signature, sign1Schema, 'the COSE_Sign1 message');
  const header = decode(protectedBytes, protectedSchema, 'the protected header');
  const algorithm = algorithmOfHeader(header);
  if (algorithm === undefined) {
    throw refuse('the protected header names no algorithm that is allowed (ES256, ES384, ES512), or more than that');
  }
  const curve = curveOf(key);
  if (curve !== algorithm.curve) {
    throw refuse(`${algorithm.name} needs a key on ${algorithm.curve}, the certificate has one on ${curve}`);
  }
  if (signature.length !== 2 * algorithm.width) {
    throw refuse(`an ${algorithm.name} signature has ${2 * algorithm.width} bytes, this one has ${signature.length}`);
  }
  const signed = signedBytes(protectedBytes, payloadBytes);
  if (!verify(algorithm.hash, signed, { key, dsaEncoding: 'ieee-p1363' }, signature)) {
    throw refuse('the signature does not verify with the certificate beside it');
  }
  const payload = decode(payloadBytes, payloadSchema, 'the signed payload');
  if (payload.register_index !== 0 || payload.register_value.length !== PCR_BYTES) {
    throw refuse(`the signed payload is for PCR${payload.register_index}; it must hold the ${PCR_BYTES} bytes of PCR0`);
  }
  if (payload.register_value.toString('hex') !== pcr0) {
    throw refuse(`the signature is for PCR0 ${payload.register_value.toString('hex')}, the image has ${pcr0}`);
  }
  return {
    certificate: entry.signing_certificate.toString('utf8'),
    algorithm: algorithm.name,
    subject: certificate.subject,
    validFrom: certificate.validFromDate,
    validTo: certificate.validToDate,
    PCR8: certificatePcr(entry.signing_certificate).toString('hex'),
    raw: Buffer.from(raw),
  };
}

/**
 * Refuses, with EIF_SIGNATURE, an image that is unsigned or whose certificate is not valid at that time: what
 * nitro-cli asks before it runs a signed image. All else was checked when the image was read.
 */
export function verifySignature(eif: { signature?: EifSignature }, { at }: { at: Date }): EifSignature {
  const { signature } = eif;
  if (signature === undefined) throw refuse('the image is not signed');
  const problem = outsideValidity(signature.validFrom, signature.validTo, at);
  if (problem !== undefined) {
    throw new EifError('EIF_SIGNATURE', problem, {
      remedy: 'sign the image again with a certificate that is valid now, and check the clock',
    });
  }
  return signature;
}

function curveOf(key: KeyObject): string {
  return key.asymmetricKeyDetails?.namedCurve ?? `no curve (${key.asymmetricKeyType ?? 'unknown'} key)`;
}

function decode<Output>(bytes: Uint8Array, schema: z.ZodType<Output>, what: string): Output {
  let value: unknown;
  try {
    value = decodeCbor(bytes);
  } catch (cause) {
    throw refuse(`${what} is not CBOR`, cause);
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw refuse(`${what} does not have the documented form: ${issue?.path.join('.')} ${issue?.message}`);
  }
  return result.data;
}

function refuse(message: string, cause?: unknown): EifError {
  return new EifError('EIF_SIGNATURE', message, { remedy: 'do not run this image; sign it again', cause });
}
