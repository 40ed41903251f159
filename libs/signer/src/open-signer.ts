import { open, stat } from 'node:fs/promises';
import { checkSigningCertificate, MAX_SIGNING_FILE_BYTES, pemSigner, type Signing } from '@enclaver/eif';
import { SignerError } from './errors.ts';
import { isArn, parseKeyArn } from './key-arn.ts';
import { kmsSigner } from './kms-signer.ts';

/**
 * Opens what signs an image and checks all that can be checked before there is one, so that a build does not fail at its
 * end: certificate in PEM, valid now, key of an allowed kind, both belonging together. The result is what `signatureSection`
 * and `signEif` take.
 *
 * Throws SignerError when file or key cannot be reached, and EifError (SIGN_*) for what is wrong with them.
 *
 * @param certificate path of a PEM file
 * @param key path of a PEM file, or ARN of a KMS key
 * @param now when the certificate has to be valid; default: now, and again when it signs
 */
export async function openSigner({
  certificate,
  key,
  now,
}: {
  certificate: string;
  key: string;
  now?: Date;
}): Promise<Signing> {
  const certificatePem = await readSmall(certificate, 'signing certificate');
  const signer = isArn(key) ? await kmsSigner(parseKeyArn(key)) : pemSigner(await readSmall(key, 'signing key'));
  checkSigningCertificate(certificatePem, signer.publicKey, now ?? new Date());
  // Signing looks at the dates once more, at its own time: a build can take long.
  return { certificatePem, signer, ...(now === undefined ? {} : { now }) };
}

/** A regular file, cut where it is longer than any that could be used. A pipe might never end, or never begin. */
async function readSmall(path: string, what: string): Promise<Buffer> {
  try {
    if (!(await stat(path)).isFile()) throw new SignerError('SIGN_FILE', `the ${what} ${path} is not a regular file`);
    const file = await open(path);
    try {
      const bytes = Buffer.alloc(MAX_SIGNING_FILE_BYTES + 1);
      const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
      return bytes.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof SignerError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    throw new SignerError('SIGN_FILE', `the ${what} ${path} cannot be read: ${code}`, { cause });
  }
}
