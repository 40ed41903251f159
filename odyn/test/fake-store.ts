import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { Nsm } from '@enclaver/attestation/nsm';
import { DevelopmentRoot, NsmSimulator } from '@enclaver/attestation/simulator';
import { encodeStore, STORE_PORT, type StoreReply, type StoreRequest, StoreRequestDecoder } from '@enclaver/wire';
import { Author } from '../src/store/author.ts';
import type { SealingKeys } from '../src/store/sealed-value.ts';
import { StoreError } from '../src/store/store-error.ts';
import type { FakeParent } from './harness.ts';

/** The parent's store, in memory; `answer` makes it hostile. */
export class FakeStore {
  readonly values = new Map<string, { value: string; revision: number }>();
  readonly requests: StoreRequest[] = [];
  /** Bytes are sent as they are; `stall` keeps the connection open in silence; undefined is an honest answer. */
  answer: (request: StoreRequest) => StoreReply | Buffer | 'stall' | undefined = () => undefined;
  #revision = 0;

  serve(parent: FakeParent): void {
    parent.services.set(STORE_PORT, (socket) => {
      const decoder = new StoreRequestDecoder();
      socket.on('data', (chunk: Buffer) => {
        const decoded = decoder.push(chunk);
        if (decoded === undefined) return;
        this.requests.push(decoded.message);
        const answer = this.answer(decoded.message) ?? this.#honest(decoded.message);
        if (answer !== 'stall') socket.end(Buffer.isBuffer(answer) ? answer : encodeStore(answer));
      });
      socket.resume();
    });
  }

  #honest(request: StoreRequest): StoreReply {
    const found = this.values.get(request.key);
    if (request.op === 'get') {
      if (found === undefined) return { result: 'missing' };
      return found.revision === request.known ? { result: 'unchanged' } : { result: 'found', ...found };
    }
    if ((found?.revision ?? 0) !== request.expected) return { result: 'conflict' };
    this.#revision += 1;
    this.values.set(request.key, { value: request.value, revision: this.#revision });
    return { result: 'stored', revision: this.#revision };
  }
}

const root = DevelopmentRoot.create();

/** The author that an image with this PCR0 is, signed by the one of this PCR8. */
export function authorOf(PCR0: string, PCR8?: string): Author {
  const measurements = {
    PCR0: PCR0.repeat(96),
    PCR1: '1'.repeat(96),
    PCR2: '2'.repeat(96),
    ...(PCR8 === undefined ? {} : { PCR8: PCR8.repeat(96) }),
  };
  return new Author(new Nsm(new NsmSimulator({ root, measurements }).request));
}

/** In place of KMS: wraps data keys with a key of its own. `away` stands for a KMS that cannot be reached. */
export class FakeKeys implements SealingKeys {
  readonly #key = randomBytes(32);
  away = false;

  async make() {
    if (this.away) throw new Error('KMS is away');
    const plaintext = randomBytes(32);
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    return {
      plaintext,
      wrapped: Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]),
    };
  }

  async unwrap(wrapped: Uint8Array) {
    if (this.away) throw new Error('KMS is away');
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key, wrapped.subarray(0, 12), { authTagLength: 16 });
      decipher.setAuthTag(wrapped.subarray(-16));
      return Buffer.concat([decipher.update(wrapped.subarray(12, -16)), decipher.final()]);
    } catch {
      throw new StoreError('STORE_VALUE_INVALID', 'no key of ours');
    }
  }
}
