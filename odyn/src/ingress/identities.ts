import { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { KeyPair } from './certificates/key-pair.ts';

/** What may be a host name; whatever else a client asks for gets the first certificate. */
const HOST_NAME = /^[\w.-]{1,253}$/;

/** The certificates of a port in the order of the manifest, one of which is chosen by the name that a client asks for. */
export class Identities {
  readonly #common: SecureContextOptions;
  readonly #onFirst: (pair: KeyPair) => void;
  readonly #all: { certificate: X509Certificate; context: SecureContext }[] = [];

  /** `onFirst` is told of each pair of the first certificate, which is for clients that ask for no name, too. */
  constructor(common: SecureContextOptions, onFirst: (pair: KeyPair) => void) {
    this.#common = common;
    this.#onFirst = onFirst;
  }

  /** From now on, for new handshakes. */
  set(index: number, pair: KeyPair): void {
    this.#all[index] = {
      certificate: new X509Certificate(pair.certificates),
      context: createSecureContext({ ...this.#common, key: pair.key, cert: pair.certificates }),
    };
    if (index === 0) this.#onFirst(pair);
  }

  /** Undefined: the first one is meant, or there is none yet. */
  contextFor(name: string): SecureContext | undefined {
    if (!HOST_NAME.test(name)) return undefined;
    // A place stays empty until its source has a pair
    return this.#all.find((one) => one?.certificate.checkHost(name) !== undefined)?.context;
  }
}
