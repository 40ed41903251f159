import { createHash, type Hash, X509Certificate } from 'node:crypto';

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
 * Computes PCR0, PCR1 and PCR2 in one pass over an image's sections in file order.
 *
 * PCR1 covers kernel, command line and first ramdisk, so as long as nothing else came its hash state equals that of
 * PCR0; it is split off only then. Each byte of the application is thus hashed twice, each other byte once.
 */
export class ImageMeasurer {
  readonly #all = createHash('sha384');
  readonly #application = createHash('sha384');
  #boot: Hash | undefined;
  #ramdisks = 0;
  #part: MeasuredPart = 'kernel';

  /** Says which section the bytes to come belong to. */
  begin(part: MeasuredPart): void {
    this.#part = part;
    if (part !== 'ramdisk') return;
    this.#ramdisks += 1;
    if (this.#ramdisks === 2) this.#boot = this.#all.copy();
  }

  update(bytes: Uint8Array): void {
    this.#all.update(bytes);
    if (this.#part === 'ramdisk' && this.#ramdisks > 1) {
      this.#application.update(bytes);
    } else {
      this.#boot?.update(bytes);
    }
  }

  /** The three registers; the measurer cannot be used any more. */
  finish(): { PCR0: string; PCR1: string; PCR2: string } {
    const register = (hash: Hash): string => extendPcr(Buffer.alloc(PCR_BYTES), hash.digest()).toString('hex');
    const boot = this.#boot ?? this.#all.copy();
    return { PCR0: register(this.#all), PCR1: register(boot), PCR2: register(this.#application) };
  }
}
