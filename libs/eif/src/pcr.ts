import { createHash, X509Certificate } from 'node:crypto';
import { HashThread } from './hash-thread.ts';

/** Hexadecimal, lower case, 96 digits each. PCR8 only for a signed image. */
export interface Measurements {
  PCR0: string;
  PCR1: string;
  PCR2: string;
  PCR8?: string;
}

/** Bytes of a platform configuration register: one SHA-384 digest. */
export const PCR_BYTES = 48;

const sha384 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha384');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** `new = SHA384(old ‖ data)`, with the data as given: what the NSM does for PCR16 to PCR31. */
export function extendPcr(old: Uint8Array, data: Uint8Array): Buffer {
  if (old.length !== PCR_BYTES) {
    throw new RangeError(`a PCR has ${PCR_BYTES} bytes, not ${old.length}`);
  }
  return sha384(old, data);
}

/** A register that starts as zero, extended by the SHA-384 of the data: the rule of PCR0, PCR1, PCR2 and PCR8. */
export function imagePcr(data: Uint8Array): Buffer {
  return extendPcr(Buffer.alloc(PCR_BYTES), sha384(data));
}

/** PCR3 of an instance whose role has this ARN (one hash, over the ARN's ASCII text). */
export function rolePcr(roleArn: string): Buffer {
  return extendPcr(Buffer.alloc(PCR_BYTES), Buffer.from(roleArn, 'ascii'));
}

/** PCR4 of this EC2 instance (one hash, over the id's ASCII text). */
export function instancePcr(instanceId: string): Buffer {
  return extendPcr(Buffer.alloc(PCR_BYTES), Buffer.from(instanceId, 'ascii'));
}

/** PCR8 for a signing certificate in PEM: measured is its DER form. Throws when the text holds no certificate. */
export function certificatePcr(certificatePem: string | Uint8Array): Buffer {
  return imagePcr(new X509Certificate(Buffer.from(certificatePem)).raw);
}

export type MeasuredPart = 'kernel' | 'cmdline' | 'ramdisk';

/**
 * Computes PCR0, PCR1 and PCR2 in one pass over an image's sections in file order. Every byte counts for PCR0 and for one
 * of the others, so there is a thread for each of the two hashes that it goes into.
 */
export class ImageMeasurer implements AsyncDisposable {
  readonly #whole = new HashThread();
  readonly #parts = new HashThread();
  #ramdisks = 0;
  #part: 'boot' | 'application' = 'boot';

  /** Says which section the bytes to come belong to. */
  begin(part: MeasuredPart): void {
    if (part === 'ramdisk') this.#ramdisks += 1;
    this.#part = part === 'ramdisk' && this.#ramdisks > 1 ? 'application' : 'boot';
  }

  /** Resolves when the bytes, which must be a block of a `BlockPool`, may change. Throws EIF_HASH_THREAD. */
  async update(bytes: Uint8Array): Promise<void> {
    await Promise.all([this.#whole.update('image', bytes), this.#parts.update(this.#part, bytes)]);
  }

  /** The three registers. Throws EIF_HASH_THREAD. */
  async finish(): Promise<{ PCR0: string; PCR1: string; PCR2: string }> {
    const digests = [this.#whole.digest('image'), this.#parts.digest('boot'), this.#parts.digest('application')];
    const [PCR0 = '', PCR1 = '', PCR2 = ''] = (await Promise.all(digests)).map((digest) =>
      extendPcr(Buffer.alloc(PCR_BYTES), digest).toString('hex'),
    );
    return { PCR0, PCR1, PCR2 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#whole[Symbol.asyncDispose](), this.#parts[Symbol.asyncDispose]()]);
  }
}
