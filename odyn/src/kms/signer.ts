import { createHmac, type Hmac, hash } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Credentials } from './credentials/credentials.ts';

export const SERVICE = 'kms';

/** SHA-256 and its HMAC in the shape that AWS's signer wants. */
class Sha256 {
  readonly #hmac: Hmac | undefined;
  readonly #chunks: Uint8Array[] = [];

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hmac = secret === undefined ? undefined : createHmac('sha256', bytesOf(secret));
  }

  update(chunk: string | ArrayBuffer | ArrayBufferView): void {
    const bytes = bytesOf(chunk);
    if (this.#hmac === undefined) this.#chunks.push(bytes);
    else this.#hmac.update(bytes);
  }

  async digest(): Promise<Uint8Array> {
    if (this.#hmac !== undefined) return this.#hmac.digest();
    // At once: what the signer hashes is small, and a stream of a hash costs more than the hash
    const [only] = this.#chunks;
    return hash('sha256', this.#chunks.length === 1 && only ? only : Buffer.concat(this.#chunks), 'buffer');
  }

  reset(): void {
    throw new Error('a hash of the signer is used once');
  }
}

function bytesOf(data: string | ArrayBuffer | ArrayBufferView): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data);
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}

/** Signature version 4 for KMS, by the signer of AWS's SDK. It never adds `x-amz-content-sha256`, as KMS needs none. */
export function signerFor(credentials: Credentials, region: string): SignatureV4 {
  return new SignatureV4({ service: SERVICE, region, credentials, sha256: Sha256, applyChecksum: false });
}
