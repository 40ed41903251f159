import { resolve } from 'node:path';
import { type EifContents, signatureSection } from '@enclaver/eif';
import type { Manifest } from '@enclaver/manifest';
import { isArn, openSigner } from '@enclaver/signer';

/**
 * How to make the signature section that a manifest asks for; certificate and key are read and checked at once. Undefined
 * where it asks for none. Throws SignerError.
 */
export async function sectionSigner({ signature }: Manifest, contextDir: string): Promise<EifContents['sign']> {
  if (signature === undefined) return undefined;
  const { certificate, key } = signature;
  const opened = await openSigner({
    certificate: resolve(contextDir, certificate),
    key: isArn(key) ? key : resolve(contextDir, key),
  });
  return (pcr0) => signatureSection(pcr0, opened);
}
