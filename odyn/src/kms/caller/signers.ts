import { randomBytes } from 'node:crypto';
import type { CredentialCache } from '../credentials/credential-cache.ts';
import type { Credentials } from '../credentials/credentials.ts';

/** A pair for this boot, which the app's environment alone is given. AWS knows nothing of it. */
export function makeLocalCredentials(): Credentials {
  // 20 letters and digits, as AWS's ids have, and 40 characters of base64
  const id = randomBytes(6).toString('hex').toUpperCase();
  return { accessKeyId: `ENCLAVER${id}`, secretAccessKey: randomBytes(30).toString('base64') };
}

/** Whose signatures the proxy takes. */
export class Signers {
  readonly #own: readonly Credentials[];
  readonly #cache: CredentialCache | undefined;

  /**
   * @param own the local pair, and that of the image where it carries one
   * @param cache what odyn has fetched, where the app can ask the same source: the parent knows these as well
   */
  constructor(own: readonly Credentials[], cache: CredentialCache | undefined) {
    this.#own = own;
    this.#cache = cache;
  }

  /** The app may have asked the instance itself, and after we did. */
  async find(accessKeyId: string): Promise<Credentials | undefined> {
    const known = this.#known(accessKeyId);
    if (known !== undefined || this.#cache === undefined) return known;
    await this.#cache.renew();
    return this.#known(accessKeyId);
  }

  #known(accessKeyId: string): Credentials | undefined {
    return this.#own.find((each) => each.accessKeyId === accessKeyId) ?? this.#cache?.find(accessKeyId);
  }
}
