import { limits } from '../../limits.ts';
import type { OdynLog } from '../../logs/odyn-log.ts';
import { KmsError } from '../kms-error.ts';
import type { CredentialSource, Credentials } from './credentials.ts';

/**
 * Holds credentials and fetches new ones before they expire, one fetch at a time. While fetching fails, the old ones are
 * used as long as they are valid.
 */
export class CredentialCache {
  readonly #source: CredentialSource;
  readonly #log: OdynLog;
  readonly #now: () => number;
  #current: Credentials | undefined;
  #previous: Credentials | undefined;
  #flight: Promise<Credentials> | undefined;
  #notBefore = 0;

  constructor(source: CredentialSource, log: OdynLog, now: () => number = Date.now) {
    this.#source = source;
    this.#log = log;
    this.#now = now;
  }

  /** @throws KmsError KMS_CREDENTIALS */
  async get(): Promise<Credentials> {
    const current = this.#current;
    const left = current === undefined ? 0 : leftMs(current, this.#now());
    if (current !== undefined && left > limits.credentialsEarlyMs) return current;
    if (current === undefined || left <= 0) return this.#refresh();
    // Not waited for: a source that is silent must not slow down calls that can be signed
    void this.renew();
    return current;
  }

  /** Credentials of this id that were fetched and may still be in the hands of others who asked the same source. */
  find(accessKeyId: string): Credentials | undefined {
    return [this.#current, this.#previous].find((each) => each?.accessKeyId === accessKeyId);
  }

  /**
   * Fetches others: these are running out, somebody has newer ones, or AWS does not take them. Not all the time, and a
   * failure is for the log alone.
   */
  async renew(): Promise<void> {
    if (this.#now() < this.#notBefore) return;
    try {
      await this.#refresh();
    } catch (error) {
      if (!(error instanceof KmsError)) throw error;
    }
  }

  #refresh(): Promise<Credentials> {
    this.#flight ??= this.#fetch().finally(() => {
      this.#flight = undefined;
    });
    return this.#flight;
  }

  async #fetch(): Promise<Credentials> {
    try {
      const found = await this.#source.fetch();
      if (leftMs(found, this.#now()) <= 0) {
        throw new KmsError('KMS_CREDENTIALS', `${this.#source.name} gave credentials that have expired`, {
          remedy: 'compare the clock of the enclave with that of the parent',
        });
      }
      if (found.accessKeyId !== this.#current?.accessKeyId) this.#previous = this.#current;
      this.#current = found;
      this.#log.info('credentials fetched', { from: this.#source.name, expiration: found.expiration?.toISOString() });
      return found;
    } catch (error) {
      if (!(error instanceof KmsError)) throw error;
      this.#log.warn('credentials not fetched', {
        from: this.#source.name,
        reason: error.message,
        remedy: error.remedy,
      });
      throw error;
    } finally {
      this.#notBefore = this.#now() + limits.credentialsRetryMs;
    }
  }
}

function leftMs({ expiration }: Credentials, now: number): number {
  return expiration === undefined ? Number.POSITIVE_INFINITY : expiration.getTime() - now;
}
