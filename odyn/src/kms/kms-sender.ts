import type { IncomingMessage } from 'node:http';
import { DialError } from '../egress/dial.ts';
import type { OwnHttp } from '../egress/own-http.ts';
import { limits } from '../limits.ts';
import type { CredentialCache } from './credentials/credential-cache.ts';
import { type EndpointOptions, kmsEndpoint } from './endpoints.ts';
import { KmsError, reasonOf } from './kms-error.ts';
import { readQuery } from './query.ts';
import { signerFor } from './signer.ts';

export interface KmsCall {
  readonly region: string;
  readonly method: string;
  readonly path: string;
  /** As it stands in the request line, without `?`. */
  readonly query: string;
  /** Names in small letters. `host`, the length and what a signature adds are not among them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface KmsSenderOptions {
  readonly http: OwnHttp;
  readonly credentials: CredentialCache;
  readonly endpoints: EndpointOptions;
}

/** Signs calls with the instance's credentials and sends them to the KMS of their region. */
export class KmsSender {
  readonly #options: KmsSenderOptions;

  constructor(options: KmsSenderOptions) {
    this.#options = options;
  }

  /**
   * Settles with the head of KMS's answer; the caller reads or destroys the body.
   * @throws KmsError KMS_ENDPOINT, KMS_CREDENTIALS, KMS_UNREACHABLE, KMS_TIMEOUT
   */
  async send(call: KmsCall, gone?: AbortSignal): Promise<IncomingMessage> {
    const { http, credentials, endpoints } = this.#options;
    const url = new URL(`https://${kmsEndpoint(call.region, endpoints)}/`);
    const headers = await this.#sign(call, url, await credentials.get());
    const { method, body } = call;
    const path = call.query === '' ? call.path : `${call.path}?${call.query}`;
    const over = new AbortController();
    const timer = setTimeout(() => {
      over.abort(new KmsError('KMS_TIMEOUT', `${url.host} gave no answer within ${limits.kmsCallMs / 1000} s`));
    }, limits.kmsCallMs);
    const onGone = (): void => over.abort(gone?.reason);
    const settle = (): void => {
      clearTimeout(timer);
      gone?.removeEventListener('abort', onGone);
    };
    gone?.addEventListener('abort', onGone);
    if (gone?.aborted) onGone();
    try {
      const answered = await http.send({ method, url, path, headers, body }, over.signal);
      answered.once('close', settle);
      return answered;
    } catch (cause) {
      settle();
      if (cause instanceof KmsError) throw cause;
      throw new KmsError('KMS_UNREACHABLE', `${url.host} cannot be reached: ${reasonOf(cause)}`, {
        cause,
        remedy: remedyOf(cause),
      });
    }
  }

  async #sign(
    { region, method, path, query, headers, body }: KmsCall,
    { host, hostname }: URL,
    credentials: Awaited<ReturnType<CredentialCache['get']>>,
  ): Promise<Record<string, string>> {
    const unsigned = Object.keys(headers).filter((name) => name !== 'content-type' && !name.startsWith('x-amz-'));
    const signed = await signerFor(credentials, region).sign(
      { protocol: 'https:', hostname, method, path, query: readQuery(query), headers: { ...headers, host }, body },
      { unsignableHeaders: new Set(unsigned) },
    );
    return signed.headers;
  }
}

function remedyOf(cause: unknown): string {
  if (cause instanceof DialError) return 'can the parent instance reach the endpoint? a VPC endpoint may be missing';
  return 'kms_proxy.ca_file names whom to trust when the endpoint is none of AWS';
}
