import { createHash } from 'node:crypto';
import { AttestationError, verifyDocument } from '@enclaver/attestation';
import type { Nsm } from '@enclaver/attestation/nsm';
import { parseDocument } from '@enclaver/attestation/parse';
import { SEALED_VALUE_PURPOSE } from '../nsm/user-data.ts';
import { StoreError } from './store-error.ts';

const IMAGE = 0;
const SIGNER = 8;

interface Self {
  /** Root that the documents of this machine's NSM hang from. */
  readonly root: Uint8Array;
  /** Who else is taken for an author: images of the same signer, or else the same image. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>;
  readonly debug: boolean;
}

/**
 * Says of a value that this image has sealed it, and checks it: by an attestation document about the sealed bytes. KMS alone does
 * not say so much: whoever may call Encrypt with the key, which nobody can attest, could make values up.
 */
export class Author {
  readonly #nsm: Nsm;
  #self: Promise<Self> | undefined;

  constructor(nsm: Nsm) {
    this.#nsm = nsm;
  }

  /** An attestation document. @throws NsmError */
  sign(name: string, sealed: Uint8Array): Promise<Uint8Array> {
    return this.#nsm.attest({ userData: userData(name, sealed) });
  }

  /** However old the document is: what it says does not age. @throws StoreError STORE_VALUE_INVALID; NsmError */
  async check(name: string, sealed: Uint8Array, document: Uint8Array): Promise<void> {
    this.#self ??= this.#ask();
    const { root, pcrs, debug } = await this.#self.catch((error) => {
      this.#self = undefined;
      throw error;
    });
    try {
      const at = new Date(parseDocument(document).timestamp);
      const expect = { pcrs, userData: userData(name, sealed), allowDebug: debug };
      await verifyDocument(document, { roots: [root], at, expect });
    } catch (cause) {
      if (!(cause instanceof AttestationError)) throw cause;
      throw new StoreError(
        'STORE_VALUE_INVALID',
        `the store outside gave what this image did not seal: ${cause.message}`,
        { cause },
      );
    }
  }

  /** The NSM is trusted, and what it says of us is true: its root needs no other proof. */
  async #ask(): Promise<Self> {
    const { pcrs, cabundle } = parseDocument(await this.#nsm.attest({}));
    const [image, signer, root] = [pcrs.get(IMAGE), pcrs.get(SIGNER), cabundle[0]];
    if (image === undefined || root === undefined) throw new Error('the NSM gave a document without PCR0 or root');
    const signed = signer?.some((byte) => byte !== 0) === true;
    return {
      root,
      pcrs: signed ? new Map([[SIGNER, signer]]) : new Map([[IMAGE, image]]),
      debug: image.every((byte) => byte === 0),
    };
  }
}

function userData(name: string, sealed: Uint8Array): Buffer {
  const digest = createHash('sha256').update(`${name}\0`).update(sealed).digest();
  return Buffer.concat([Buffer.from(SEALED_VALUE_PURPOSE), digest]);
}
