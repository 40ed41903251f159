import { encodeCbor, encodeSign1, protectedHeader, signedBytes } from './cose-sign1.ts';
import { EifError } from './errors.ts';
import { MAX_SIGNATURE_BYTES } from './limits.ts';
import { PCR_BYTES } from './pcr.ts';
import { checkSignature } from './signature.ts';
import { algorithmOfKey, type EifSigner } from './signer.ts';
import { checkSigningCertificate } from './signing-certificate.ts';

/** Who signs, and what says who that is. */
export interface Signing {
  /** The certificate's file as it is: these bytes go into the image, its DER form is measured as PCR8. */
  certificatePem: Buffer;
  signer: EifSigner;
  /** The time at which the certificate has to be valid. Default: now. It goes nowhere else. */
  now?: Date;
}

/**
 * The data of the signature section for an image with this PCR0, byte for byte as upstream's tools lay it out.
 *
 * ECDSA is random, so two calls differ in the signature and, with it, in no PCR. Throws EifError: SIGN_CERTIFICATE,
 * SIGN_CERTIFICATE_DATES, SIGN_KEY, SIGN_KEY_MISMATCH before the signer is asked; SIGN_FAILED when what it gave is no
 * signature by its own key. Errors of the signer pass through.
 */
export async function signatureSection(
  pcr0: Buffer,
  { certificatePem, signer, now = new Date() }: Signing,
): Promise<Buffer> {
  if (pcr0.length !== PCR_BYTES) throw new RangeError(`PCR0 has ${PCR_BYTES} bytes, not ${pcr0.length}`);
  checkSigningCertificate(certificatePem, signer.publicKey, now);
  const header = protectedHeader(algorithmOfKey(signer.publicKey));
  const payload = encodeCbor(
    new Map<string, unknown>([
      ['register_index', 0],
      ['register_value', [...pcr0]],
    ]),
  );
  const signature = await signer.sign(signedBytes(header, payload));
  const section = encodeCbor([
    new Map([
      ['signing_certificate', [...certificatePem]],
      ['signature', [...encodeSign1(header, payload, signature)]],
    ]),
  ]);
  if (section.length > MAX_SIGNATURE_BYTES) {
    throw new EifError(
      'SIGN_CERTIFICATE',
      `with this certificate the signature section has ${section.length} bytes; at most ${MAX_SIGNATURE_BYTES} are allowed`,
    );
  }
  try {
    checkSignature(section, pcr0.toString('hex'));
  } catch (cause) {
    throw new EifError('SIGN_FAILED', 'what the signer gave is no signature of this image by its key', { cause });
  }
  return section;
}
