import { readSealedKey, SealedKeyError } from '@enclaver/wire/sealed-key';
import type { KmsClient } from '../../kms/kms-client.ts';
import { KmsError } from '../../kms/kms-error.ts';
import { limits } from '../../limits.ts';
import { describeError, OdynError } from '../../odyn-error.ts';
import { readAuthorities } from './files.ts';
import { faultOf, type KeyPair } from './key-pair.ts';
import { retry, TransientError } from './retry.ts';
import type { CertificateOf, CertificateSource, SourceContext } from './source.ts';
import { SourceFile } from './source-file.ts';

/** What KMS says when it is busy or out of order, rather than unwilling. */
const BUSY = /Throttling|Internal|DependencyTimeout|KeyUnavailable|LimitExceeded|ServiceUnavailable/;

/**
 * A key that lies sealed in the image or on a server, and that KMS opens for this image alone. What is on a server is asked for
 * again now and then, so that a certificate can be renewed without a new image.
 */
export class KmsSource implements CertificateSource {
  readonly #certificate: CertificateOf<'kms'>;
  readonly #context: SourceContext;
  readonly #kms: KmsClient;
  readonly #key: SourceFile;
  readonly #cert: SourceFile;
  readonly #refreshMs: number;
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  /** As they were read last, to see a change without asking KMS. */
  #read: { sealed: Buffer; pair: KeyPair } | undefined;

  /** Throws TLS_FILE, FILE_UNREADABLE. */
  constructor(certificate: CertificateOf<'kms'>, context: SourceContext, refreshMs: number = limits.tlsRefreshMs) {
    const { key, cert, caFile } = certificate;
    if (context.kms === undefined) throw new Error('a source of KMS is opened without KMS');
    const ca = caFile === undefined ? undefined : readAuthorities(context.root, context.port, caFile);
    this.#certificate = certificate;
    this.#context = context;
    this.#refreshMs = refreshMs;
    this.#kms = context.kms;
    this.#key = new SourceFile(key, context, ca);
    this.#cert = new SourceFile(cert, context, ca);
  }

  /** Throws TLS_KMS, TLS_FILE, TLS_FETCH, FILE_UNREADABLE. */
  async start(changed: (pair: KeyPair) => void): Promise<KeyPair> {
    const { port, log } = this.#context;
    let pair: KeyPair;
    try {
      pair = await retry(
        () => this.#load(),
        ({ message }) => log.warn('key or certificate not here yet', { port, reason: message }),
        this.#closing.signal,
      );
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      throw this.#fault(`${error.message}; given up after ${limits.tlsBootMs / 1000} s`, error);
    }
    if (this.#key.isFetched || this.#cert.isFetched) this.#refreshLater(changed);
    return pair;
  }

  close(): void {
    this.#closing.abort();
    clearTimeout(this.#timer);
    this.#key.close();
    this.#cert.close();
  }

  /** The next look comes after the last has ended, however long that takes. */
  #refreshLater(changed: (pair: KeyPair) => void): void {
    if (this.#closing.signal.aborted) return;
    this.#timer = setTimeout(async () => {
      await this.#refresh(changed);
      this.#refreshLater(changed);
    }, this.#refreshMs).unref();
  }

  async #refresh(changed: (pair: KeyPair) => void): Promise<void> {
    const before = this.#read?.pair;
    try {
      const pair = await this.#load();
      if (pair !== before && !this.#closing.signal.aborted) changed(pair);
    } catch (error) {
      this.#context.log.warn('key and certificate not looked at again; those at hand stay', {
        port: this.#context.port,
        reason: describeError(error),
      });
    }
  }

  /** The same object as long as nothing has changed. Throws TransientError, TLS_KMS, TLS_FILE, TLS_FETCH, FILE_UNREADABLE. */
  async #load(): Promise<KeyPair> {
    const [sealed, certificates] = await Promise.all([this.#key.read(), this.#cert.read()]);
    // A key that is the same still is not opened again
    const before = this.#read?.sealed.equals(sealed) ? this.#read.pair : undefined;
    if (before !== undefined && certificates.equals(Buffer.from(before.certificates))) return before;
    const pair = { key: before?.key ?? (await this.#open(sealed)), certificates };
    const fault = faultOf(pair);
    if (fault !== undefined) throw this.#fault(fault);
    this.#read = { sealed, pair };
    return pair;
  }

  async #open(file: Buffer): Promise<Buffer> {
    const { kmsKey: keyId, encryptionContext } = this.#certificate;
    const context = Object.keys(encryptionContext).length === 0 ? undefined : encryptionContext;
    try {
      const sealed = readSealedKey(file);
      return sealed.open(await this.#kms.decrypt({ keyId, context }, sealed.ciphertext));
    } catch (error) {
      if (error instanceof SealedKeyError) throw this.#fault(`${this.#key.place}: ${error.message}`, error);
      if (!(error instanceof KmsError)) throw error;
      const isFinal = error.code === 'KMS_REFUSED' ? !BUSY.test(error.refusal ?? '') : error.code === 'KMS_ENDPOINT';
      if (!isFinal) throw new TransientError(error.message, { cause: error });
      throw this.#fault(`${this.#key.place}: ${error.message}`, error);
    }
  }

  #fault(what: string, cause?: unknown): OdynError {
    return new OdynError('TLS_KMS', `ingress port ${this.#context.port}: ${what}`, {
      cause,
      remedy: `check the key file, its encryption context, and that the policy of ${this.#certificate.kmsKey} names this image`,
    });
  }
}
