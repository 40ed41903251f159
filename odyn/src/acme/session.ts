import type { KeyObject } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import * as z from 'zod';
import { limits } from '../limits.ts';
import { AcmeError, printable, refused } from './acme-error.ts';
import { publicJwk, signedRequest } from './jws.ts';
import { type Directory, directorySchema, problemSchema } from './messages.ts';

export interface HttpRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** odyn's own HTTP client. Rejects when there is no whole answer. */
export interface HttpClient {
  exchange(request: HttpRequest, bounds: { timeoutMs: number; maxBytes: number }): Promise<HttpAnswer>;
  close(): void;
}

export interface Answer<T> {
  readonly data: T;
  /** The header Location. */
  readonly location?: string;
  readonly retryAfterMs?: number;
}

/** RFC 8555, section 6.1 wants one. */
const USER_AGENT = 'enclaver-odyn';
/** A nonce may be too old (section 6.5); many times in a row it is a fault. */
const NONCE_TRIES = 5;

/**
 * Signed requests of one account to one ACME server (RFC 8555, section 6). Every address that the server names has to be on
 * the host of its directory: no other is measured.
 */
export class AcmeSession {
  readonly #http: HttpClient;
  readonly #key: KeyObject;
  readonly #origin: string;
  readonly directory: Directory;
  #account: string | undefined;
  #nonce: string | undefined;

  private constructor(http: HttpClient, key: KeyObject, origin: string, directory: Directory) {
    this.#http = http;
    this.#key = key;
    this.#origin = origin;
    this.directory = directory;
  }

  /** `key`: the account's, on P-256. Throws AcmeError, as all methods do. */
  static async open(http: HttpClient, directoryUrl: string, key: KeyObject): Promise<AcmeSession> {
    const url = new URL(directoryUrl);
    const answer = await exchange(http, { method: 'GET', url, headers: { 'user-agent': USER_AGENT } });
    if (answer.status !== 200) throw failure('the directory', answer);
    const directory = parse('the directory', answer.body, directorySchema);
    if (directory.meta?.externalAccountRequired === true) {
      throw new AcmeError(
        'ACME_REFUSED',
        'the authority takes only accounts that it was told of otherwise (external account binding)',
        {
          type: 'externalAccountRequired',
        },
      );
    }
    return new AcmeSession(http, key, url.origin, directory);
  }

  get key(): KeyObject {
    return this.#key;
  }

  /** The account of the key, made where there is none (section 7.3): its URL. */
  async account(contact: readonly string[]): Promise<string> {
    const payload = {
      termsOfServiceAgreed: true,
      ...(contact.length === 0 ? {} : { contact: contact.map((mail) => `mailto:${mail}`) }),
    };
    const { location } = await this.#post('the account', this.directory.newAccount, payload, z.unknown());
    if (location === undefined) throw new AcmeError('ACME_ANSWER', 'the authority gave no address of the account');
    this.#account = location;
    return location;
  }

  post<T>(what: string, url: string, payload: unknown, schema: z.ZodType<T>): Promise<Answer<T>> {
    return this.#post(what, url, payload, schema);
  }

  /** POST-as-GET (section 6.3). */
  get<T>(what: string, url: string, schema: z.ZodType<T>): Promise<Answer<T>> {
    return this.#post(what, url, undefined, schema);
  }

  /** A certificate chain in PEM form (section 7.4.2). */
  async chain(url: string): Promise<string> {
    const answer = await this.#send('the certificate', url, undefined, 'application/pem-certificate-chain');
    return answer.body.toString('latin1');
  }

  async #post<T>(what: string, url: string, payload: unknown, schema: z.ZodType<T>): Promise<Answer<T>> {
    const { body, headers } = await this.#send(what, url, payload, 'application/json');
    const retryAfterMs = retryAfter(headers);
    return {
      data: parse(what, body, schema),
      ...(headers.location === undefined ? {} : { location: headers.location }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    };
  }

  async #send(what: string, address: string, payload: unknown, accept: string): Promise<HttpAnswer> {
    const url = this.#checked(what, address);
    for (let tries = 1; ; tries++) {
      const nonce = this.#nonce ?? (await this.#newNonce());
      this.#nonce = undefined;
      const identity = this.#account === undefined ? { jwk: publicJwk(this.#key) } : { kid: this.#account };
      const body = signedRequest(this.#key, { ...identity, nonce, url: address }, payload);
      const headers = { 'user-agent': USER_AGENT, 'content-type': 'application/jose+json', accept };
      const answer = await exchange(this.#http, { method: 'POST', url, headers, body });
      this.#nonce = nonceOf(answer);
      if (answer.status < 400) return answer;
      const error = failure(what, answer);
      if (error.type !== 'badNonce' || tries === NONCE_TRIES) throw error;
    }
  }

  async #newNonce(): Promise<string> {
    const what = 'a nonce';
    const url = this.#checked(what, this.directory.newNonce);
    const answer = await exchange(this.#http, { method: 'HEAD', url, headers: { 'user-agent': USER_AGENT } });
    const nonce = nonceOf(answer);
    if (nonce === undefined) throw new AcmeError('ACME_ANSWER', `the authority gave no nonce (HTTP ${answer.status})`);
    return nonce;
  }

  #checked(what: string, address: string): URL {
    const url = URL.parse(address);
    if (url?.origin === this.#origin) return url;
    throw new AcmeError('ACME_ANSWER', `${what} is not on the host of the directory: ${printable(address)}`);
  }
}

async function exchange(http: HttpClient, request: HttpRequest): Promise<HttpAnswer> {
  try {
    return await http.exchange(request, { timeoutMs: limits.acmeRequestMs, maxBytes: limits.acmeAnswerBytes });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AcmeError('ACME_UNREACHABLE', `${request.url.host} cannot be reached: ${printable(reason)}`, { cause });
  }
}

function failure(what: string, { status, headers, body }: HttpAnswer): AcmeError {
  let json: unknown;
  try {
    json = JSON.parse(body.toString('utf8'));
  } catch {
    // A proxy in between, or a server that is down: its page is of no use here
  }
  const problem = problemSchema.safeParse(json);
  if (!problem.success)
    return new AcmeError('ACME_ANSWER', `${what}: the authority answered HTTP ${status}`, {
      retryAfterMs: retryAfter(headers),
    });
  return refused(what, problem.data, retryAfter(headers));
}

function parse<T>(what: string, body: Buffer, schema: z.ZodType<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new AcmeError('ACME_ANSWER', `${what}: the answer is not JSON`, { cause });
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  throw new AcmeError(
    'ACME_ANSWER',
    `${what}: the answer is not one we know: ${printable(z.prettifyError(result.error))}`,
  );
}

function nonceOf({ headers }: HttpAnswer): string | undefined {
  const nonce = headers['replay-nonce'];
  return typeof nonce === 'string' && /^[A-Za-z0-9_-]{1,1024}$/.test(nonce) ? nonce : undefined;
}

/** RFC 9110, section 10.2.3: seconds, or a date. */
function retryAfter(headers: IncomingHttpHeaders): number | undefined {
  const text = headers['retry-after'];
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
