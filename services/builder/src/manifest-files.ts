import type { Manifest, TlsCertificate } from '@enclaver/manifest';
import { BuilderError } from './builder-error.ts';
import type { FileTree } from './layers/file-tree.ts';

/**
 * Refuses an image that lacks a key or certificate which its manifest names: the enclave would end at its start. Returns what is
 * to be said of keys that are there. Throws TLS_FILE, KMS_FILE.
 */
export function checkManifestFiles(tree: FileTree, { ingress, kmsProxy }: Manifest): string[] {
  const warnings: string[] = [];
  for (const { listenPort, tls } of ingress) {
    const what = `ingress port ${listenPort}`;
    for (const certificate of tls?.certificates ?? []) {
      for (const paths of pathsOf(certificate)) need(tree, 'TLS_FILE', what, paths);
      if (certificate.source !== 'files') continue;
      warnings.push(`the private key of ingress port ${listenPort} is in the image: whoever has the image has the key`);
    }
    if (tls?.clientCaFile !== undefined) need(tree, 'TLS_FILE', what, [tls.clientCaFile]);
  }
  if (kmsProxy?.caFile !== undefined) need(tree, 'KMS_FILE', 'kms_proxy.ca_file', [kmsProxy.caFile]);
  return warnings;
}

/** Paths in the image, of which one has to be there. */
function pathsOf(certificate: TlsCertificate): readonly (readonly string[])[] {
  switch (certificate.source) {
    case 'files':
      return [certificate.keyFiles, certificate.certFiles];
    case 'kms':
      return [certificate.key, certificate.cert, certificate.caFile].filter(isPath).map((path) => [path]);
    case 'acme':
      return certificate.caFile === undefined ? [] : [[certificate.caFile]];
    case 'attested':
      return [];
  }
}

function isPath(place: string | undefined): place is string {
  return place !== undefined && !/^https:/i.test(place);
}

function need(tree: FileTree, code: 'TLS_FILE' | 'KMS_FILE', what: string, paths: readonly string[]): void {
  const found = paths.some((path) => tree.open(Buffer.from(path, 'utf8').toString('latin1')) !== undefined);
  if (found) return;
  throw new BuilderError(code, `${what}: the image has no ${paths.join(' and no ')}`, {
    remedy: 'put the file into the image, or correct its path in the manifest',
  });
}
