import { resolve } from 'node:path';
import { type EifContents, signatureSection } from '@enclaver/eif';
import type { Manifest } from '@enclaver/manifest';

export async function sectionSigner({ signature }: Manifest, contextDir: string): Promise<EifContents['sign']> {
  if (signature === undefined) return undefined;
  const { openSigner } = await import('@enclaver/signer');
  const { certificate, key } = signature;
  const opened = await openSigner({
    certificate: resolve(contextDir, certificate),
    key: key.startsWith('arn:') ? key : resolve(contextDir, key),
  });
  return (pcr0) => signatureSection(pcr0, opened);
}
