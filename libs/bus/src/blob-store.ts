import { createHash } from 'node:crypto';
import { type JetStreamManager, type KV, NatsError } from 'nats';
import { keysOf, WRONG_REVISION } from './storage.ts';
import { BLOB_BUCKET } from './subjects.ts';

/** A value and the revision that a change of it has to name. */
export interface Blob {
  readonly value: Buffer;
  readonly revision: number;
}

/** Nobody may fill the bucket for the others. */
export class BlobStoreFull extends Error {
  override readonly name = 'BlobStoreFull';
  readonly code = 'BLOBS_FULL';
}

/**
 * What enclaves keep outside, sealed by them: opaque here. Each owner has keys of its own, which other owners cannot name.
 * Owners are told apart by what they are, not by the id of one run, so that restarts and replicas find what is theirs.
 */
export class BlobStore {
  readonly #manager: JetStreamManager;
  readonly #bucket: KV;
  readonly #maxKeys: number;

  constructor(manager: JetStreamManager, bucket: KV, options: { maxKeys: number }) {
    this.#manager = manager;
    this.#bucket = bucket;
    this.#maxKeys = options.maxKeys;
  }

  async get(owner: string, key: string): Promise<Blob | undefined> {
    const entry = await this.#bucket.get(path(owner, key));
    if (entry === null || entry.operation !== 'PUT') return undefined;
    return { value: Buffer.from(entry.value), revision: entry.revision };
  }

  /**
   * Stores if the key is at the revision `expected` (0: there is none); undefined when it is at another. The new revision.
   * @throws BlobStoreFull when the owner has as many keys as one may have
   */
  async put(owner: string, key: string, value: Uint8Array, expected: number): Promise<number | undefined> {
    if (expected === 0 && (await keysOf(this.#manager, BLOB_BUCKET, path(owner, '>'))).length >= this.#maxKeys) {
      throw new BlobStoreFull(`one image may keep ${this.#maxKeys} values, and has that many`);
    }
    const at = path(owner, key);
    try {
      return expected === 0 ? await this.#bucket.create(at, value) : await this.#bucket.update(at, value, expected);
    } catch (error) {
      if (error instanceof NatsError && error.api_error?.err_code === WRONG_REVISION) return undefined;
      throw error;
    }
  }
}

/** Owners have names with any characters in them; the bucket's keys do not. */
function path(owner: string, key: string): string {
  return `${createHash('sha256').update(owner).digest('hex').slice(0, 40)}.${key}`;
}
