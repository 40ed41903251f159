import { X509Certificate } from 'node:crypto';
import { findInRoot } from '../../bootstrap/in-root.ts';
import { readBounded } from '../../bootstrap/read-bounded.ts';
import { limits } from '../../limits.ts';
import { OdynError } from '../../odyn-error.ts';
import { faultOf, type KeyPair } from './key-pair.ts';
import type { CertificateOf, CertificateSource, SourceContext } from './source.ts';

/** Key and certificates as files of the image. */
export class FilesSource implements CertificateSource {
  readonly #certificate: CertificateOf<'files'>;
  readonly #context: SourceContext;

  constructor(certificate: CertificateOf<'files'>, context: SourceContext) {
    this.#certificate = certificate;
    this.#context = context;
  }

  /** Throws TLS_FILE, FILE_UNREADABLE. */
  async start(): Promise<KeyPair> {
    const { root, port } = this.#context;
    const { keyFiles, certFiles } = this.#certificate;
    const pair = { key: readFirst(root, port, keyFiles), certificates: readFirst(root, port, certFiles) };
    const fault = faultOf(pair);
    if (fault !== undefined) throw invalid(port, fault);
    return pair;
  }

  close(): void {}
}

/** The first of `paths` that the app's root has. Throws TLS_FILE, FILE_UNREADABLE. */
export function readFirst(root: string, port: number, paths: readonly string[]): Buffer {
  for (const path of paths) {
    const found = findInRoot(root, path);
    if (found !== undefined) return readBounded(found, limits.tlsFileBytes);
  }
  throw invalid(port, `the image has no ${paths.join(' and no ')}`);
}

/** PEM of authorities. OpenSSL would take a file without any, and trust nobody. Throws TLS_FILE, FILE_UNREADABLE. */
export function readAuthorities(root: string, port: number, path: string): string {
  const pem = readFirst(root, port, [path]).toString('utf8');
  try {
    new X509Certificate(pem);
  } catch {
    throw invalid(port, `${path} holds no certificate in PEM form`);
  }
  return pem;
}

function invalid(port: number, what: string): OdynError {
  return new OdynError('TLS_FILE', `ingress port ${port}: ${what}`, {
    remedy: "put the files into the image, and name them in the port's section tls",
  });
}
