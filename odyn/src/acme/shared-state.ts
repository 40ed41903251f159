import type { OdynLog } from '../logs/odyn-log.ts';
import type { SealedValue } from '../store/sealed-value.ts';
import { StoreError } from '../store/store-error.ts';
import { type AcmeState, decodeState, encodeState } from './state.ts';

/** Replicas that write at the same moment as the one that has come to an end. */
const TRIES = 5;

/** The sealed state of a certificate. What cannot be used of the store counts as no state, and is replaced. */
export class SharedState {
  readonly #stored: SealedValue;
  readonly #log: OdynLog;
  #broken: string | undefined;

  constructor(stored: SealedValue, log: OdynLog) {
    this.#stored = stored;
    this.#log = log;
  }

  /** @throws StoreError STORE_UNAVAILABLE, and what KMS's client throws */
  async read(): Promise<AcmeState> {
    try {
      const bytes = await this.#stored.read();
      this.#broken = undefined;
      if (bytes === undefined) return {};
      return decodeState(bytes) ?? this.#unusable('it is of another version');
    } catch (error) {
      if (!(error instanceof StoreError) || error.code === 'STORE_UNAVAILABLE') throw error;
      return this.#unusable(`${error.code}: ${error.message}`);
    }
  }

  /** False when another replica was first. Throws as `read`. */
  write(state: AcmeState): Promise<boolean> {
    return this.#stored.write(encodeState(state));
  }

  /**
   * Writes what `end` makes of `state`, which was written last, or of what other replicas have put in its place. Undefined
   * leaves theirs. Throws as `read`.
   */
  async settle(state: AcmeState, end: (state: AcmeState) => AcmeState | undefined): Promise<void> {
    let current = state;
    for (let left = TRIES; left > 0; left--) {
      const next = end(current);
      if (next === undefined || (await this.write(next))) return;
      current = await this.read();
    }
    throw new StoreError('STORE_UNAVAILABLE', 'the store outside always has another writer');
  }

  #unusable(why: string): AcmeState {
    if (why !== this.#broken) this.#log.warn('the stored state of a certificate cannot be used', { error: why });
    this.#broken = why;
    return {};
  }
}
