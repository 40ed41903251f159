import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { Nsm } from '@enclaver/attestation/nsm';
import { NsmError } from '@enclaver/attestation/nsm';
import { CmsError, openEnvelope } from '@enclaver/cms';
import { limits } from '../limits.ts';
import { KmsError } from './kms-error.ts';

/** The field of a request that makes KMS look at the enclave and answer for it alone. */
export interface RecipientField {
  readonly AttestationDocument: string;
  readonly KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256';
}

/** For whom KMS seals its answers: a key pair of this boot, and attestation documents that carry it. */
export class Recipient {
  readonly #nsm: Nsm;
  readonly #privateKey: KeyObject;
  readonly #publicKey: Buffer;
  readonly #now: () => number;
  #field: Promise<RecipientField> | undefined;
  #until = 0;
  /** Of the NSM's registers, when the document was asked for. */
  #changes = 0;

  private constructor(nsm: Nsm, keys: { publicKey: KeyObject; privateKey: KeyObject }, now: () => number) {
    this.#nsm = nsm;
    this.#privateKey = keys.privateKey;
    this.#publicKey = keys.publicKey.export({ type: 'spki', format: 'der' });
    this.#now = now;
  }

  /** Makes the key pair, RSA-2048 since KMS takes no other; the kernel's entropy has been seeded by then. */
  static async create(nsm: Nsm, now: () => number = () => performance.now()): Promise<Recipient> {
    return new Recipient(nsm, await promisify(generateKeyPair)('rsa', { modulusLength: 2048 }), now);
  }

  /** With a document of the last minute and of the registers as they are; one is asked for at a time. @throws KmsError KMS_ATTESTATION */
  async field(): Promise<RecipientField> {
    if (this.#field === undefined || this.#now() >= this.#until || this.#changes !== this.#nsm.changes) {
      this.#changes = this.#nsm.changes;
      this.#until = this.#now() + limits.kmsDocumentMs;
      this.#field = this.#attest();
      this.#field.catch(() => {
        this.#field = undefined;
      });
    }
    return this.#field;
  }

  /** What an answer holds for us, in base64. @throws KmsError KMS_ANSWER */
  async open(ciphertextForRecipient: string): Promise<Buffer> {
    try {
      return await openEnvelope(Buffer.from(ciphertextForRecipient, 'base64'), this.#privateKey);
    } catch (cause) {
      if (!(cause instanceof CmsError)) throw cause;
      throw new KmsError('KMS_ANSWER', `KMS sealed its answer in a way that cannot be opened: ${cause.message}`, {
        cause,
      });
    }
  }

  async #attest(): Promise<RecipientField> {
    try {
      const document = await this.#nsm.attest({ publicKey: this.#publicKey });
      return {
        AttestationDocument: Buffer.from(document).toString('base64'),
        KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
      };
    } catch (cause) {
      if (!(cause instanceof NsmError)) throw cause;
      throw new KmsError('KMS_ATTESTATION', `there is no attestation document: ${cause.message}`, {
        cause,
        remedy: cause.remedy,
      });
    }
  }
}
