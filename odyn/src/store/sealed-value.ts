import type { VsockTransport } from '@enclaver/vsock';
import { STORE_VALUE_MAX } from '@enclaver/wire';
import type { Author } from './author.ts';
import { type DataKey, type Opened, open, seal, wrappedKey } from './seal.ts';
import { askStore } from './store-client.ts';
import { StoreError } from './store-error.ts';

/** Makes data keys and opens them again: KMS, asked with an attestation document. */
export interface SealingKeys {
  make(): Promise<DataKey>;
  /** Throws StoreError STORE_VALUE_INVALID when it is no key of ours; else what keeps it from being opened now. */
  unwrap(wrapped: Uint8Array): Promise<Uint8Array>;
}

/** An attestation document (some 5 KiB), what KMS adds to a data key, and the fields of seal.ts, with room to spare. */
const SEAL_BYTES = 16 * 1024;
const LENGTH_BYTES = 2;

/** Longest value that fits into the store once it is sealed. */
export const SEALED_VALUE_MAX = STORE_VALUE_MAX - SEAL_BYTES;

/**
 * One value that is kept outside by the parent and can be opened by this image alone, wherever it runs. The parent can give
 * back an older state than it should, or none; it cannot make one up, whatever it may do with the KMS key. Within one boot a value never goes back.
 */
export class SealedValue {
  readonly #transport: VsockTransport;
  readonly #keys: SealingKeys;
  readonly #author: Author;
  readonly #name: string;
  /** State of the store at the last look; `opened` is missing where it could not be opened. */
  #seen: { readonly revision: number; readonly opened?: Opened } | undefined;
  #highest = 0;

  /** `name`: a key of the store (`libs/wire`, store.ts), and part of what is sealed. */
  constructor(transport: VsockTransport, keys: SealingKeys, author: Author, name: string) {
    this.#transport = transport;
    this.#keys = keys;
    this.#author = author;
    this.#name = name;
  }

  /**
   * The value as the store has it now; undefined where it has none.
   * @throws StoreError, and what `SealingKeys.unwrap` throws. After STORE_VALUE_INVALID and STORE_ROLLED_BACK `write` replaces
   * what is there.
   */
  async read(): Promise<Buffer | undefined> {
    const known = this.#seen?.revision;
    const reply = await askStore(this.#transport, {
      op: 'get',
      key: this.#name,
      ...(known === undefined ? {} : { known }),
    });
    switch (reply.result) {
      case 'missing':
        this.#seen = undefined;
        return undefined;
      case 'unchanged':
        return this.#opened(known).value;
      case 'found':
        return (await this.#open(Buffer.from(reply.value, 'base64'), reply.revision)).value;
      default:
        throw unexpected(reply.result);
    }
  }

  /**
   * Puts `value` in the place of what was read or written last. False when another writer was first: read again.
   * @throws StoreError, and what `SealingKeys.make` throws
   */
  async write(value: Buffer): Promise<boolean> {
    if (value.length > SEALED_VALUE_MAX)
      throw new RangeError(`a value of ${value.length} bytes, at most ${SEALED_VALUE_MAX}`);
    // The time: a value that takes the place of one which cannot be opened is newer, too
    const opened = { version: Math.max(this.#highest + 1, Date.now()), value };
    const key = await this.#keys.make();
    const sealed = seal(this.#name, opened, key);
    key.plaintext.fill(0);
    const reply = await askStore(this.#transport, {
      op: 'put',
      key: this.#name,
      value: (await this.#signed(sealed)).toString('base64'),
      expected: this.#seen?.revision ?? 0,
    });
    if (reply.result === 'conflict') return false;
    if (reply.result !== 'stored') throw unexpected(reply.result);
    this.#highest = opened.version;
    this.#seen = { revision: reply.revision, opened };
    return true;
  }

  /** Length of an attestation document about the sealed value (u16 little-endian), the document, the sealed value. */
  async #signed(sealed: Buffer): Promise<Buffer> {
    const document = await this.#author.sign(this.#name, sealed);
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt16LE(document.length);
    return Buffer.concat([length, document, sealed]);
  }

  async #open(signed: Buffer, revision: number): Promise<Opened> {
    this.#seen = { revision };
    let opened: Opened;
    try {
      const end = LENGTH_BYTES + (signed.length < LENGTH_BYTES ? 0 : signed.readUInt16LE());
      const sealed = signed.subarray(end);
      // Before KMS is asked: what was made up costs nothing there
      await this.#author.check(this.#name, sealed, signed.subarray(LENGTH_BYTES, end));
      const key = await this.#keys.unwrap(wrappedKey(sealed));
      opened = open(this.#name, sealed, key);
      key.fill(0);
    } catch (error) {
      // KMS may be away for a moment: then this revision has to be sent once more
      if (!(error instanceof StoreError)) this.#seen = undefined;
      throw error;
    }
    if (opened.version < this.#highest) throw rolledBack();
    this.#highest = opened.version;
    this.#seen = { revision, opened };
    return opened;
  }

  #opened(known: number | undefined): Opened {
    if (known === undefined) throw unexpected('unchanged');
    const opened = this.#seen?.opened;
    if (opened === undefined)
      throw new StoreError('STORE_VALUE_INVALID', 'the store outside still has what this image did not seal');
    return opened;
  }
}

function rolledBack(): StoreError {
  return new StoreError('STORE_ROLLED_BACK', 'the store outside gave an older value than before');
}

function unexpected(result: string): StoreError {
  return new StoreError('STORE_VALUE_INVALID', `the parent's answer "${result}" does not fit the request`);
}
