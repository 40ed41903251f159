import { awsNitroRoot } from './aws-root.ts';
import { verifyChain } from './chain.ts';
import type { AttestationDocument, VerifyOptions } from './document.ts';
import { AttestationError } from './errors.ts';
import { checkOptions } from './options.ts';
import { parseDocument } from './parse-document.ts';
import { checkPolicy } from './policy.ts';
import { isSignedByKeyOf, signedBytes } from './signature.ts';

/**
 * Verifies an attestation document: its form, the chain of certificates from a trusted root, their validity at `at`, the
 * signature, and then what the caller expects. Gives the document only when everything holds. That it is fresh is shown by
 * nothing but a nonce of the caller.
 *
 * Throws AttestationError: what `parseDocument`, `verifyChain` and `checkPolicy` throw, ATTESTATION_SIGNATURE, and
 * ATTESTATION_OPTION for options that would leave unchecked what was meant to be checked.
 */
export async function verifyDocument(bytes: Uint8Array, options: VerifyOptions): Promise<AttestationDocument> {
  checkOptions(options);
  const { roots = [awsNitroRoot], at, expect = {} } = options;
  const document = parseDocument(bytes);
  const leaf = await verifyChain(document, roots, at);
  const signature = new Uint8Array(document.signature);
  if (!(await isSignedByKeyOf(leaf, signature, signedBytes(document)))) {
    throw new AttestationError(
      'ATTESTATION_SIGNATURE',
      'the signature of the document is not by the key of its certificate',
    );
  }
  checkPolicy(document, expect, at);
  return document;
}
