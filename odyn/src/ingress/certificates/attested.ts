import { generateKeyPair, type KeyObject, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import { ATTESTED_TLS_PURPOSE, CMW_EXTENSION, wrapDocument } from '@enclaver/attestation/attested';
import type { Nsm } from '@enclaver/attestation/nsm';
import { parseDocument } from '@enclaver/attestation/parse';
import { limits } from '../../limits.ts';
import { requireNsm } from '../../nsm/open-nsm.ts';
import { describeError } from '../../odyn-error.ts';
import { octetString } from '../../x509/der.ts';
import { extension } from '../../x509/extension.ts';
import { pem, selfSigned } from '../../x509/self-signed.ts';
import type { KeyPair } from './key-pair.ts';
import type { CertificateOf, CertificateSource, SourceContext } from './source.ts';

type AttestedContext = Pick<SourceContext, 'port' | 'nsm' | 'log'>;

/**
 * A key made here, with a certificate signed by itself that holds an attestation document about it. The document verifies for
 * some three hours, as long as its certificates are valid; well before, key, document and certificate are made anew.
 */
export class AttestedSource implements CertificateSource {
  readonly #names: readonly string[];
  readonly #nsm: Nsm;
  readonly #context: AttestedContext;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** Throws NSM_MISSING. */
  constructor({ names }: CertificateOf<'attested'>, context: AttestedContext) {
    this.#names = names;
    this.#nsm = requireNsm(context.nsm, 'ingress.tls.certificates.attested');
    this.#context = context;
  }

  /** Throws NsmError. */
  async start(changed: (pair: KeyPair) => void): Promise<KeyPair> {
    const { pair, notAfter } = await this.#make();
    this.#renewIn(delayUntilRenewal(notAfter), changed);
    return pair;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #renewIn(delayMs: number, changed: (pair: KeyPair) => void): void {
    if (this.#closed) return;
    this.#timer = setTimeout(async () => {
      let next: number = limits.attestedRetryMs;
      try {
        const { pair, notAfter } = await this.#make();
        next = delayUntilRenewal(notAfter);
        if (!this.#closed) changed(pair);
      } catch (error) {
        // The certificate at hand is good for a while yet; from then on clients refuse it
        this.#context.log.error('attested certificate not renewed', {
          port: this.#context.port,
          error: describeError(error),
        });
      }
      this.#renewIn(next, changed);
    }, delayMs).unref();
  }

  async #make(): Promise<{ pair: KeyPair; notAfter: Date }> {
    const { privateKey, publicKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
    const document = await this.#nsm.attest({
      publicKey: publicKey.export({ type: 'spki', format: 'der' }),
      userData: Buffer.from(ATTESTED_TLS_PURPOSE),
    });
    const validity = validityOf(document);
    return { pair: this.#certify(privateKey, document, validity), notAfter: validity.notAfter };
  }

  #certify(key: KeyObject, document: Uint8Array, validity: { notBefore: Date; notAfter: Date }): KeyPair {
    const extensions = [extension(CMW_EXTENSION, octetString(wrapDocument(document)))];
    const certificate = selfSigned({ key, names: this.#names, ...validity, extensions });
    return { key: key.export({ type: 'pkcs8', format: 'pem' }), certificates: pem('CERTIFICATE', certificate) };
  }
}

/** When all certificates of a document are valid: the certificate around it claims no more. */
function validityOf(document: Uint8Array): { notBefore: Date; notAfter: Date } {
  const { certificate, cabundle } = parseDocument(document);
  const all = [certificate, ...cabundle].map((der) => new X509Certificate(der));
  return {
    notBefore: new Date(Math.max(...all.map(({ validFromDate }) => validFromDate.getTime()))),
    notAfter: new Date(Math.min(...all.map(({ validToDate }) => validToDate.getTime()))),
  };
}

/** Half of what is left, so that there is as much again for attempts that fail and for clients that look twice. */
function delayUntilRenewal(notAfter: Date): number {
  return Math.min(
    Math.max((notAfter.getTime() - Date.now()) / 2, limits.attestedRenewMinMs),
    limits.attestedRenewMaxMs,
  );
}
