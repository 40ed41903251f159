import { OwnDialer } from '../../egress/own-dialer.ts';
import { OwnHttp } from '../../egress/own-http.ts';
import { limits } from '../../limits.ts';
import { OdynError } from '../../odyn-error.ts';
import { readFirst } from './files.ts';
import { TransientError } from './retry.ts';
import type { SourceContext } from './source.ts';

/** A file of the image, or of a server that the manifest names by https. */
export class SourceFile {
  readonly place: string;
  readonly #context: SourceContext;
  readonly #url: URL | undefined;
  readonly #http: OwnHttp | undefined;
  #ofImage: Buffer | undefined;

  /** `ca`: PEM, of the server. */
  constructor(place: string, context: SourceContext, ca: string | undefined) {
    this.place = place;
    this.#context = context;
    if (!/^https:/i.test(place)) return;
    this.#url = new URL(place);
    const destination = `${this.#url.hostname}:${this.#url.port === '' ? 443 : this.#url.port}`;
    this.#http = new OwnHttp(new OwnDialer(context.transport, [destination]), { ca });
  }

  /** Whether it may change while the enclave runs. */
  get isFetched(): boolean {
    return this.#url !== undefined;
  }

  /**
   * What is in the image is read once, before the app runs: later the app may have put there what has no end, or leads out of its root.
   * Throws TLS_FILE, FILE_UNREADABLE, TLS_FETCH, TransientError.
   */
  async read(): Promise<Buffer> {
    const { root, port } = this.#context;
    if (this.#url === undefined || this.#http === undefined) {
      this.#ofImage ??= readFirst(root, port, [this.place]);
      return this.#ofImage;
    }
    const request = { method: 'GET', url: this.#url, headers: { accept: '*/*' } };
    const bounds = { timeoutMs: limits.tlsFetchMs, maxBytes: limits.tlsFileBytes };
    let answer: Awaited<ReturnType<OwnHttp['exchange']>>;
    try {
      answer = await this.#http.exchange(request, bounds);
    } catch (cause) {
      throw new TransientError(`${this.place}: ${(cause as Error).message}`, { cause });
    }
    if (answer.status === 200) return answer.body;
    const text = `${this.place}: the server answered with status ${answer.status}`;
    if (answer.status >= 500 || answer.status === 429) throw new TransientError(text);
    throw new OdynError('TLS_FETCH', `ingress port ${port}: ${text}`, {
      remedy: 'correct the URL in the manifest, or what the server has there; redirects are not followed',
    });
  }

  close(): void {
    this.#http?.close();
  }
}
