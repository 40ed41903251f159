import type { Manifest } from './schema/manifest.ts';

/** Whether Enclaver itself talks to AWS KMS from inside: then it needs the instance's credentials and an NSM, too. */
export function needsKms(manifest: Manifest): boolean {
  const certificates = manifest.ingress.flatMap(({ tls }) => tls?.certificates ?? []);
  return manifest.kmsProxy !== undefined || certificates.some(({ source }) => source === 'kms' || source === 'acme');
}

/** Whether anything inside goes out: the app through the egress proxy, or Enclaver by its own dialer. */
export function needsEgress(manifest: Manifest): boolean {
  return (manifest.egress?.allow.length ?? 0) > 0 || needsKms(manifest);
}

/** Whether something of the inside is to be kept outside, sealed: then the parent serves the store. */
export function needsStore(manifest: Manifest): boolean {
  return manifest.ingress.some(({ tls }) => tls?.certificates.some(({ source }) => source === 'acme'));
}
