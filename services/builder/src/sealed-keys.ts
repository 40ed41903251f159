import type { Manifest } from '@enclaver/manifest';
import { readSealedKey, SealedKeyError } from '@enclaver/wire/sealed-key';
import { BuilderError } from './builder-error.ts';
import { ExtentReader } from './layers/extent-reader.ts';
import type { Flattened } from './layers/flatten.ts';

/** More than odyn takes of a sealed key. */
const MAX_BYTES = 1 << 20;

/**
 * Refuses an image with a key for `kms` that is not sealed: the enclave would not start, and whoever got the image would have the
 * key. Throws TLS_FILE.
 */
export async function checkSealedKeys({ tree, spools }: Flattened, { ingress }: Manifest): Promise<void> {
  const reader = new ExtentReader(spools);
  for (const { listenPort, tls } of ingress) {
    for (const certificate of tls?.certificates ?? []) {
      if (certificate.source !== 'kms') continue;
      const node = tree.open(Buffer.from(certificate.key, 'utf8').toString('latin1'));
      if (node?.kind !== 'file') continue;
      const { content } = node;
      // What is no extent is the build's own, such as the manifest
      if (Buffer.isBuffer(content) || content.size > MAX_BYTES) continue;
      const parts: Buffer[] = [];
      for await (const part of reader.read(content)) parts.push(Buffer.from(part));
      try {
        readSealedKey(Buffer.concat(parts));
      } catch (error) {
        if (!(error instanceof SealedKeyError)) throw error;
        throw new BuilderError('TLS_FILE', `ingress port ${listenPort}: ${certificate.key}: ${error.message}`, {
          remedy: 'seal it with `enclaver tls seal-key`; a key that was in an image before should be replaced',
        });
      }
    }
  }
}
