import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Manifest } from '@enclaver/manifest';
import { findInRoot } from '../bootstrap/in-root.ts';
import { readBounded } from '../bootstrap/read-bounded.ts';
import { limits } from '../limits.ts';
import { OdynError } from '../odyn-error.ts';

export type TlsEntry = NonNullable<Manifest['ingress'][number]['tls']>;

/** What a port ends TLS with, in PEM form. */
export interface TlsFiles {
  key: Buffer;
  /** The server's certificate first, then those between it and the root. */
  certificates: Buffer;
  /** Who signs the certificates that clients must have. */
  clientCa?: Buffer;
  alpn: readonly string[];
}

/**
 * Reads key and certificates of a port from the app's root: at the paths of the manifest, or where the original's enclaves
 * have them. Throws TLS_FILE, FILE_UNREADABLE.
 */
export function readTlsFiles(root: string, port: number, tls: TlsEntry): TlsFiles {
  const folder = `/etc/enclaver/tls/server/${port}`;
  const key = readPem(root, port, [tls.keyFile, `${folder}/key.pem`]);
  const certificates = readPem(root, port, [tls.certFile, `${folder}/cert.pem`]);
  checkPair(port, key, certificates);
  const clientCa = tls.clientCaFile === undefined ? undefined : readPem(root, port, [tls.clientCaFile]);
  return { key, certificates, alpn: tls.alpn, ...(clientCa === undefined ? {} : { clientCa }) };
}

function readPem(root: string, port: number, paths: readonly string[]): Buffer {
  for (const path of paths) {
    const found = findInRoot(root, path);
    if (found !== undefined) return readBounded(found, limits.tlsFileBytes);
  }
  throw invalid(port, `the image has no ${paths.join(' and no ')}`);
}

/** OpenSSL's own words come with the first client, and name no file. */
function checkPair(port: number, key: Buffer, certificates: Buffer): void {
  let fits: boolean;
  try {
    fits = new X509Certificate(certificates).checkPrivateKey(createPrivateKey(key));
  } catch {
    // What a parser says of a key file may quote it
    throw invalid(port, 'its certificate or key is not in PEM form');
  }
  if (!fits) throw invalid(port, 'its certificate is not of its key');
}

function invalid(port: number, what: string): OdynError {
  return new OdynError('TLS_FILE', `ingress port ${port}: ${what}`, {
    remedy: 'put the files into the image, and name them in key_file and cert_file of the port',
  });
}
